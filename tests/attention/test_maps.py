"""Q, K -> maps, recording, and the official stacking."""

import pytest
import torch
import torch.nn.functional as F

import learn_to_steer.attention.maps as attention
from learn_to_steer.attention import (
    AttentionLayer,
    AttentionRecorder,
    MapStack,
    StopForward,
    attention_maps,
)
from learn_to_steer.errors import SteeringError


def plain_maps(query, key, weights, scale):
    probability = (query @ key.mT * scale).softmax(-1)
    return torch.einsum("bhnt,bot->bohn", probability, weights)


def inputs(b=2, heads=3, n=10, t=7, d=4, o=2, dtype=torch.float64):
    torch.manual_seed(0)
    query, key = torch.randn(b, heads, n, d, dtype=dtype), torch.randn(b, heads, t, d, dtype=dtype)
    return query.requires_grad_(), key.requires_grad_(), torch.rand(b, o, t, dtype=dtype)


@pytest.mark.parametrize("chunk", [1, 200, 1 << 24])
def test_maps_and_gradients_match_the_plain_formula(monkeypatch, chunk):
    monkeypatch.setattr(attention, "_CHUNK", chunk)
    query, key, weights = inputs()
    made, expected = attention_maps(query, key, weights, 0.5), plain_maps(query, key, weights, 0.5)
    assert made.shape == (2, 2, 3, 10) and torch.allclose(made, expected)
    upstream = torch.randn_like(made)
    for ours, theirs in zip(
        torch.autograd.grad(made, (query, key), upstream),
        torch.autograd.grad(expected, (query, key), upstream),
        strict=True,
    ):
        assert torch.allclose(ours, theirs)


def test_gradient_by_finite_differences():
    query, key, weights = inputs(b=1, heads=2, n=4, t=5)
    assert torch.autograd.gradcheck(lambda q, k: attention_maps(q, k, weights, 0.7), (query, key))


def test_half_precision_inputs_give_float32_maps_and_half_gradients():
    query, key, weights = inputs(dtype=torch.float32)
    half = query.detach().half().requires_grad_()
    maps = attention_maps(half, key.detach().half(), weights, 0.5)
    assert maps.dtype == torch.float32
    assert torch.autograd.grad(maps.sum(), half)[0].dtype == torch.float16


def test_an_object_that_is_not_there_has_an_empty_map():
    query, key, weights = inputs()
    weights[1, 1] = 0
    assert attention_maps(query, key, weights, 0.5)[1, 1].abs().max() == 0


def test_wide_attention_stays_frugal():
    """Kept for backward: Q, K, the weights and the result, but not the scores of rows x columns x heads."""
    saved = []

    def pack(tensor):
        saved.append(tensor.numel())
        return tensor

    query, key = torch.randn(1, 8, 1024, 8, requires_grad=True), torch.randn(1, 8, 256, 8, requires_grad=True)
    weights = torch.zeros(1, 2, 256)
    weights[:, :, 3] = 1
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        maps = attention_maps(query, key, weights, 0.3)
    assert sum(saved) <= 8 * (1024 * 8 + 256 * 8 + 2 * 256 + 2 * 1024)
    assert torch.autograd.grad(maps[..., 7].sum(), query)[0].isfinite().all()


def test_shapes_that_do_not_fit_are_refused():
    query, key, weights = inputs()
    with pytest.raises(SteeringError, match="text columns"):
        attention_maps(query, key, weights[:, :, :-1], 1.0)


def layer(name, stage, index, heads=2):
    return AttentionLayer(name, stage, index, heads)


LAYERS = [
    layer("down.0.0", "down", 0),
    layer("mid.0", "mid", 1),
    layer("up.0.0", "up", 2),
    layer("up.1.0", "up", 3),
]


def stack(sizes):
    maps = tuple(torch.rand(1, 2, 2, *size) for size in sizes)
    return MapStack(tuple(LAYERS[: len(sizes)]), maps)


def test_channels_go_from_low_resolution_to_high_and_down_mid_up_inside():
    maps = stack([(8, 8), (4, 4), (4, 4), (8, 8)])
    assert [x.name for x in maps.ordered().layers] == ["mid.0", "up.0.0", "down.0.0", "up.1.0"]
    assert maps.channels == 8 and maps.stacked(4).shape == (1, 2, 8, 4, 4)


def test_double_blocks_come_before_single_ones():
    layers = (layer("single.0", "single", 1), layer("double.0", "double", 0))
    maps = MapStack(layers, (torch.rand(1, 2, 2, 4, 4), torch.rand(1, 2, 2, 4, 4)))
    assert [x.name for x in maps.ordered().layers] == ["double.0", "single.0"]


def test_official_rule_leaves_maps_alone_where_all_have_the_target_size():
    maps = stack([(4, 4), (4, 4)])
    assert torch.equal(maps.stacked(4), torch.cat(maps.maps, 2))
    assert torch.allclose(maps.stacked(4, "always").sum((-2, -1)), torch.ones(1, 2, 4))


def test_official_rule_renormalises_all_as_soon_as_one_differs():
    maps = stack([(4, 4), (8, 8)])
    stacked = maps.stacked(4)
    assert torch.allclose(stacked.sum((-2, -1)), torch.ones(1, 2, 4))
    resized = F.interpolate(maps.maps[1][:, 0], (4, 4), mode="bilinear", align_corners=False)
    assert torch.allclose(stacked[:, 0, 2:], resized / (resized.sum((-2, -1), keepdim=True) + 1e-8))


def test_maps_that_are_not_square_become_square():
    assert stack([(6, 9), (3, 4)]).stacked(4).shape == (1, 2, 4, 4, 4)


def record(recorder, layer, size=2):
    recorder.record(layer, torch.randn(1, 2, size * size, 4), torch.randn(1, 2, 7, 4), 0.5, size, size)


def test_recorder_reads_what_is_wanted_and_stops_after_it():
    recorder = AttentionRecorder(torch.rand(1, 2, 7), LAYERS, ("down.0.0", "mid.0"))
    assert recorder.wants(LAYERS[0]) and not recorder.wants(LAYERS[2])
    record(recorder, LAYERS[0])
    assert not recorder.wants(LAYERS[0])
    with pytest.raises(StopForward):
        record(recorder, LAYERS[1])
    assert [x.name for x in recorder.maps().layers] == ["down.0.0", "mid.0"]


def test_recorder_without_stop_goes_on():
    recorder = AttentionRecorder(torch.rand(1, 2, 7), LAYERS, stop=False)
    for each in LAYERS:
        record(recorder, each)
    assert recorder.done and recorder.maps().channels == 8


def test_recorder_refuses_what_it_cannot_do():
    with pytest.raises(SteeringError, match="nowhere.*choose"):
        AttentionRecorder(torch.rand(1, 2, 7), LAYERS, ("nowhere",))
    with pytest.raises(SteeringError):
        AttentionRecorder(torch.rand(1, 2, 7), LAYERS, ())
    recorder = AttentionRecorder(torch.rand(1, 2, 7), LAYERS)
    with pytest.raises(SteeringError, match="image positions"):
        recorder.record(LAYERS[0], torch.randn(1, 2, 5, 4), torch.randn(1, 2, 7, 4), 0.5, 2, 2)
    with pytest.raises(SteeringError, match="down.0.0"):
        recorder.maps()


def test_selecting_layers():
    maps = stack([(4, 4), (4, 4), (8, 8)])
    assert maps.select(("up.0.0",)).channels == 2 and maps.select(None) is maps
    with pytest.raises(SteeringError):
        maps.select(("up.7.0",))
