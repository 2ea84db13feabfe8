"""Patches that give an attention more rows than there are pictures, as regional prompts do: the picture comes unsteered,
and the run says why."""

from __future__ import annotations

import torch
from conftest import latents, options, steered, stock


def _couple(model, times):
    """A model whose cross-attentions see each row `times` times, and whose results are cut back to the first."""
    model = model.clone()
    model.set_model_attn2_patch(lambda q, k, v, extra: tuple(torch.cat([t] * times) for t in (q, k, v)))
    model.set_model_attn2_output_patch(lambda out, extra: out[: len(out) // times])
    return model


def _sentence(log):
    (run,) = log.runs
    assert not any(trace.records for trace in run.traces)
    (sentence,) = run.notes
    assert sentence.startswith("Expected") and sentence.endswith(".") and "\n" not in sentence
    return sentence


def test_rows_twice(node, world):
    model = _couple(world.model, 2)
    result, log = steered(node, world, model=model)
    assert torch.equal(result, stock(world, model=model))
    said = _sentence(log)
    assert "attention over 1 picture, got 2 rows" in said and "regional prompts" in said


def test_three_times_over_a_batch(node, world):
    model = _couple(world.model, 3)
    result, log = steered(node, world, model=model, latent=latents(2))
    assert torch.equal(result, stock(world, model=model, latent=latents(2)))
    assert "attention over 2 pictures, got 6 rows" in _sentence(log)


def test_tokens_appended_to_the_text_of_one_attention(node, world):
    """A patch that lengthens the text: nobody knows which tokens are the prompt's."""
    model = world.model.clone()

    def longer(q, k, v, extra):
        return q, torch.cat([k, k[:, :5]], dim=1), torch.cat([v, v[:, :5]], dim=1)

    model.set_model_attn2_patch(longer)
    result, log = steered(node, world, model=model)
    assert torch.equal(result, stock(world, model=model))
    assert "32 text tokens" in _sentence(log) and "got 37" in log.runs[0].notes[0]


def test_later_in_a_run_what_was_moved_stays(node, world):
    """The patch sets in at a low noise level only: the steps before it are steered, the rest is not."""
    model = world.model.clone()
    sigmas = []

    def sometimes(q, k, v, extra):
        sigmas.append(float(extra["sigmas"][0]))
        return tuple(torch.cat([t] * 2) for t in (q, k, v)) if sigmas[-1] < 5 else (q, k, v)

    model.set_model_attn2_patch(sometimes)
    model.set_model_attn2_output_patch(lambda out, extra: out[: len(out) // 2] if sigmas[-1] < 5 else out)
    result, log = steered(node, world, model=model, options=options(node, end=1.0, reached=1.0))
    assert result.isfinite().all() and min(sigmas) < 5 < max(sigmas)
    (run,) = log.runs
    assert run.notes and "2 rows" in run.notes[0]
    steps = {record.step for record in run.traces[0].records}
    assert 0 in steps and 7 not in steps
