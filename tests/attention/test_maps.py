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
from learn_to_steer.attention.stack import resized
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


def test_area_resizing_takes_the_mean_of_what_each_cell_covers():
    """4 x 4 to 2 x 2: the mean of each block of 2 x 2. Bilinear resizing would give the same here, so 6 x 6 as well, of
    which a cell covers 3 x 3 and bilinear resizing reads only the middle."""
    four = torch.tensor(
        [[0.0, 2.0, 1.0, 1.0], [4.0, 6.0, 1.0, 5.0], [8.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    ).view(1, 1, 1, 4, 4)
    assert resized(four, 2, "area").flatten().tolist() == [3.0, 2.0, 2.0, 0.25]
    six = torch.zeros(1, 1, 1, 6, 6)
    six[..., 0, 0], six[..., 5, 3] = 9.0, 18.0
    assert resized(six, 2, "area").flatten().tolist() == [1.0, 0.0, 0.0, 2.0]
    assert resized(six, 2, "bilinear").flatten().tolist() == [0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("resize, read", [("area", 1.0), ("bilinear", 1 / 16)])
def test_area_resizing_reads_every_position_of_a_large_map(resize, read):
    """64 x 64 at S = 8: bilinear resizing reads the 2 x 2 middle positions of each block of 8 x 8."""
    large = torch.rand(2, 2, 3, 64, 64, requires_grad=True)
    resized(large, 8, resize).sum().backward()
    assert (large.grad != 0).float().mean().item() == read
    if resize == "area":
        assert torch.equal(large.grad, torch.full_like(large.grad, 1 / 64))


def test_area_resizing_of_a_map_that_grows_in_height_and_shrinks_in_width():
    """(2, 8) at S = 4: pairs of columns are averaged, then rows interpolated at 1/4, 3/4, 5/4 and 7/4 of the height of
    one, whose centres lie at 1/2 and 3/2: weights of the second row 0, 1/4, 3/4, 1."""
    flat = torch.tensor([[0.0, 2.0, 4.0, 4.0, 0.0, 0.0, 1.0, 3.0], [8.0] * 8]).view(1, 1, 1, 2, 8)
    expected = [[1.0, 4.0, 0.0, 2.0], [2.75, 5.0, 2.0, 3.5], [6.25, 7.0, 6.0, 6.5], [8.0] * 4]
    assert resized(flat, 4, "area")[0, 0, 0].tolist() == expected


def test_stacking_resizes_as_it_is_told():
    six = torch.zeros(1, 2, 2, 6, 6)
    six[..., 0, 0], six[..., 5, 3] = 9.0, 18.0  # means 1 and 2 of the first and the last cell, which sum to 3
    maps = MapStack((LAYERS[0],), (six,))
    assert torch.allclose(
        maps.stacked(2, "always", "area")[0, 0, 0], torch.tensor([[1 / 3, 0.0], [0.0, 2 / 3]])
    )


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


@pytest.mark.parametrize(
    "rows, at", [(slice(-2, None), [2, 3]), (slice(0, 2), [0, 1]), (slice(1, 3), [1, 2])]
)
def test_recorder_reads_the_rows_that_the_weights_are_for(rows, at):
    """A pass of four rows, as of two images with guidance: the maps are those of the chosen rows by the plain formula."""
    torch.manual_seed(0)
    query, key, weights = torch.randn(4, 2, 6, 4), torch.randn(4, 2, 7, 4), torch.rand(2, 3, 7)
    recorder = AttentionRecorder(weights, LAYERS[:1], stop=False, rows=rows)
    recorder.record(LAYERS[0], query, key, 0.5, 2, 3)
    (maps,) = recorder.maps().maps
    assert maps.shape == (2, 3, 2, 2, 3)
    for row, chosen in enumerate(at):
        for position in range(6):
            for head in range(2):
                scores = 0.5 * key[chosen, head] @ query[chosen, head, position]
                expected = weights[row] @ scores.softmax(-1)
                assert torch.allclose(maps[row, :, head, position // 3, position % 3], expected, atol=1e-6)


def test_what_was_taken_from_a_recorder_is_recorded_again():
    recorder = AttentionRecorder(torch.rand(1, 2, 7), LAYERS[:2], stop=False)
    record(recorder, LAYERS[0])
    record(recorder, LAYERS[1])
    before = recorder.maps().maps[0]
    assert recorder.take(LAYERS[0]) is before and recorder.wants(LAYERS[0]) and not recorder.done
    recorder.put(LAYERS[0], before * 2)
    assert recorder.done and torch.equal(recorder.maps().maps[0], before * 2)


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
