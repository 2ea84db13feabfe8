"""An exception, an interrupt, a lack of memory in the middle of steering - and the next run is as if nothing had been.

What is left behind is checked by the fixture `left_as_found` after every test.
"""

from __future__ import annotations

import pytest
import torch
from conftest import PACK, latents, options, steered, stock


class _Failing:
    """An objective that fails at its second evaluation."""

    def __init__(self, inner, error):
        self.inner, self.error, self.evaluations = inner, error, 0
        self.layers = inner.layers

    def reading(self, layers):
        return self

    def check(self, targets):
        self.inner.check(targets)

    def __call__(self, maps, targets, step):
        self.evaluations += 1
        if self.evaluations == 2:
            raise self.error
        return self.inner(maps, targets, step)


def _errors():
    import comfy.model_management as management

    return [
        RuntimeError("somewhere in the model"),
        management.InterruptProcessingException(),
        management.OOM_EXCEPTION("no memory left"),
    ]


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("sampler", ["euler", "uni_pc"])
def test_next_run_is_untouched(node, world, number, sampler):
    before = stock(world, sampler)
    error = _errors()[number]
    failing = _Failing(world.classifier, error)
    with pytest.raises(type(error)):
        steered(node, world, sampler, classifier=failing)
    assert failing.evaluations == 2
    assert torch.equal(stock(world, sampler), before)
    assert torch.equal(steered(node, world, sampler)[0], steered(node, world, sampler)[0])


def test_failure_inside_the_model(node, world):
    """The forward pass itself breaks, with weights re-wrapped at that moment."""
    before = stock(world)
    layer = world.model.model.diffusion_model.middle_block[1].transformer_blocks[0].attn2.to_k

    def break_down(module, args):
        if torch.is_grad_enabled():
            raise RuntimeError("broken")

    handle = layer.register_forward_pre_hook(break_down)
    try:
        with pytest.raises(RuntimeError, match="broken"):
            steered(node, world)
    finally:
        handle.remove()
    assert torch.equal(stock(world), before)


def test_interrupt_is_seen_inside_the_inner_loop(node, world):
    import comfy.model_management as management

    class Interrupting(_Failing):
        def __call__(self, maps, targets, step):
            self.evaluations += 1
            management.interrupt_current_processing(True)
            return self.inner(maps, targets, step)

    objective = Interrupting(world.classifier, None)
    try:
        with pytest.raises(management.InterruptProcessingException):
            steered(node, world, classifier=objective)
    finally:
        management.interrupt_current_processing(False)
    assert objective.evaluations == 1


def test_no_weight_is_copied(node, world):
    """While steering, the UNet computes with the memory of its own weights."""
    storages = {p.untyped_storage().data_ptr() for p in world.model.model.diffusion_model.parameters()}
    seen = []

    def watch(module, args):
        if torch.is_grad_enabled():
            seen.append(
                (module.weight.untyped_storage().data_ptr() in storages, module.weight.is_inference())
            )

    layer = world.model.model.diffusion_model.middle_block[1].transformer_blocks[0].attn2.to_q
    handle = layer.register_forward_pre_hook(watch)
    try:
        steered(node, world)
    finally:
        handle.remove()
    assert seen and set(seen) == {(True, False)}


def test_steered_model_may_be_reused_and_the_plain_one_stays_plain(node, world):
    before = stock(world)
    inputs = {
        "relations": world.relations,
        "classifier": world.classifier,
        "options": options(node, reached=1.0),
    }
    model, log = node("ApplyRelationSteering", model=world.model, **inputs)
    once, twice = stock(world, model=model), stock(world, model=model)
    assert torch.equal(once, twice) and not torch.equal(once, before)
    assert len(log.traces) == 2
    assert torch.equal(once, steered(node, world)[0])
    assert torch.equal(stock(world), before)


def test_global_random_numbers_are_not_drawn(node, world):
    from importlib import import_module

    rehearsal = import_module(f"{PACK}.learn_to_steer.hosts.comfyui.rehearsal")
    import comfy.samplers

    torch.manual_seed(5)
    before = torch.get_rng_state()

    class Inner:
        class inner_model:  # noqa: N801
            inner_model = world.model.model
            model_patcher = world.model

    function = comfy.samplers.sampler_object("euler_ancestral").sampler_function
    sigmas = torch.tensor([14.0, 7.0, 3.0, 1.0, 0.0])
    found = rehearsal.rehearse(function, Inner(), latents()["samples"], sigmas, None, {})
    assert found == {0: 0, 1: 1, 2: 2, 3: 3}
    assert torch.equal(before, torch.get_rng_state())
