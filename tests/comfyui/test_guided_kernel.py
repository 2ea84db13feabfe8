"""One attention with a bias folded in, against the same written out."""

from __future__ import annotations

import pytest
import torch
from guided import module

HEADS, WIDTH, IMAGE, TEXT = 4, 64, 60, 12


@pytest.fixture
def kernel(pack):
    return module("hosts.comfyui.guide.kernel")


def _tensors(heads_of_keys=HEADS, rows=2):
    """q, k, v (rows, heads, tokens, d) of a joint attention, text first."""
    generator = torch.Generator().manual_seed(4)
    shapes = [(rows, h, TEXT + IMAGE, WIDTH) for h in (HEADS, heads_of_keys, heads_of_keys)]
    return [torch.randn(shape, generator=generator) for shape in shapes]


def _bias(kernel, rows=slice(1, 2)):
    generator = torch.Generator().manual_seed(5)
    fields = 8 * torch.randn(1, HEADS, 2, IMAGE, generator=generator)
    columns = torch.zeros(1, 2, TEXT)
    columns[0, 0, 3] = columns[0, 1, 5:7] = 1
    return kernel.Bias(rows, slice(TEXT, TEXT + IMAGE), slice(0, TEXT), fields, columns)


def _expected(q, k, v, bias, mask=None, scale=WIDTH**-0.5):
    k, v = (x.repeat_interleave(HEADS // x.shape[1], 1) for x in (k, v))
    logits = q @ k.mT * scale
    logits[bias.rows, :, bias.queries, bias.keys] += torch.einsum("bhkn,bkt->bhnt", bias.fields, bias.columns)
    logits = logits if mask is None else logits + mask
    return (logits.softmax(-1) @ v).transpose(1, 2).flatten(2)


def _kernel(name):
    import comfy.ldm.modules.attention as attention

    return getattr(getattr(attention, name), "__wrapped__")  # noqa: B009


@pytest.mark.parametrize(
    "name", ["attention_pytorch", "attention_sub_quad", "attention_split", "attention_basic"]
)
@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("others", [False, True], ids=["alone", "with another pack"])
def test_every_kernel_of_the_host(kernel, name, split, others):
    q, k, v = _tensors()
    given = [q, k, v] if split else [x.transpose(1, 2).flatten(2) for x in (q, k, v)]
    override = (lambda func, *a, **kw: func(*a, **kw)) if others else None
    bias = _bias(kernel)
    more = {"skip_reshape": True} if split else {}
    result = kernel.with_bias(override, _kernel(name), *given, HEADS, bias, **more)
    assert torch.allclose(result, _expected(q, k, v, bias), atol=1e-4)


def test_masks_of_each_row(kernel):
    q, k, v = _tensors()
    mask = torch.zeros(2, 1, 1, TEXT + IMAGE)
    mask[0, ..., 2], mask[1, ..., 5] = float("-inf"), -2.0
    bias = _bias(kernel)
    for args, more in (((mask,), {}), ((), {"mask": mask})):
        result = kernel.with_bias(
            None, _kernel("attention_pytorch"), q, k, v, HEADS, bias, *args, skip_reshape=True, **more
        )
        assert torch.allclose(result, _expected(q, k, v, bias, mask), atol=1e-4)


def test_several_heads_of_queries_to_one_of_keys_and_a_scale(kernel):
    q, k, v = _tensors(heads_of_keys=2)
    bias = _bias(kernel)

    def grouped(q, k, v, heads, **kw):
        assert kw["scale"] == 0.2
        k, v = (x.repeat_interleave(heads // x.shape[1], 1) for x in (k, v))
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=kw["scale"])
        return out if kw.get("skip_output_reshape") else out.transpose(1, 2).flatten(2)

    for whole in (False, True):
        more = {"skip_output_reshape": True} if whole else {}
        result = kernel.with_bias(None, grouped, q, k, v, HEADS, bias, skip_reshape=True, scale=0.2, **more)
        result = result.transpose(1, 2).flatten(2) if whole else result
        assert torch.allclose(result, _expected(q, k, v, bias, scale=0.2), atol=1e-4)


def test_what_another_attention_is_given_and_what_is_added(kernel):
    q, k, v = _tensors()
    bias = _bias(kernel)
    expected = _expected(q, k, v, bias)
    plain = _expected(
        q, k, v, kernel.Bias(slice(0, 0), bias.queries, bias.keys, bias.fields[:0], bias.columns[:0])
    )
    result = kernel.with_difference(plain + 1, q, k, v, HEADS, bias, skip_reshape=True)
    assert torch.allclose(result, expected + 1, atol=1e-4) and torch.equal(result[0], plain[0] + 1)


def test_quantising_kernels_stay_as_precise_as_they_are(kernel):
    def small(x):
        scale = x.abs().amax(-1, keepdim=True) / 127
        return (x / scale).round() * scale

    def quantising(q, k, v, heads, **kw):
        out = torch.nn.functional.scaled_dot_product_attention(small(q), small(k), v)
        return out.transpose(1, 2).flatten(2)

    q, k, v = _tensors(rows=1)
    bias = _bias(kernel, slice(0, 1))
    none = kernel.Bias(slice(0, 1), bias.queries, bias.keys, 0 * bias.fields, bias.columns)
    error = (quantising(q, k, v, HEADS) - _expected(q, k, v, none)).abs().mean()
    folded = kernel.with_bias(None, quantising, q, k, v, HEADS, bias, skip_reshape=True)
    assert (folded - _expected(q, k, v, bias)).abs().mean() < 2 * error


def test_heads_too_wide_for_a_quantising_kernel_go_to_pytorch(kernel):
    def attention_sage(q, *args, **kw):
        raise AssertionError(f"heads of {q.shape[-1]} channels")

    q, k, v = (torch.cat([x, x], -1) for x in _tensors(rows=1))  # 128 channels: 136 with the bias
    bias = _bias(kernel, slice(0, 1))
    result = kernel.with_bias(None, attention_sage, q, k, v, HEADS, bias, skip_reshape=True)
    assert torch.allclose(result, _expected(q, k, v, bias, scale=128**-0.5), atol=1e-4)
