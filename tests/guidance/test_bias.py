"""The bias in factors against the bias as a matrix, and the shape of the fields."""

import numpy as np
import pytest
import torch

from learn_to_steer.guidance import (
    Layout,
    ModelSpread,
    background_field,
    folded,
    folded_width,
    hard_fields,
    logit_spread,
    mask,
    narrowed,
    object_fields,
    peaks,
    sampled_rows,
    token_columns,
    widened,
)

TWO = Layout(np.array([[0.25, 0.5], [0.75, 0.5]]), np.full((2, 2), 0.5))


def sides(width, objects):
    """Random queries, keys, values, fields and columns."""
    torch.manual_seed(width + objects)
    query, key, value = (
        torch.randn(2, 3, 20, width),
        torch.randn(2, 3, 11, width),
        torch.randn(2, 3, 11, width),
    )
    return query, key, value, 4 * torch.randn(2, objects, 20), torch.rand(2, objects, 11)


def explicit(query, key, scale, fields, columns):
    """Logits with the bias added position by position and token by token."""
    logits = scale * torch.einsum("bhnd,bhtd->bhnt", query.double(), key.double())
    return logits + torch.einsum("bkn,bkt->bnt", fields.double(), columns.double())[:, None]


def test_the_width_is_the_next_multiple_of_eight():
    assert [folded_width(d, k) for d, k in [(64, 2), (64, 8), (64, 9), (40, 3), (128, 1)]] == [
        72,
        72,
        80,
        48,
        136,
    ]


@pytest.mark.parametrize("by_width", [False, True])
@pytest.mark.parametrize(("width", "objects"), [(8, 1), (40, 3), (64, 4), (13, 2)])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 2e-5), (torch.float16, 0.06)])
def test_folded_is_the_explicit_bias(width, objects, by_width, dtype, close):
    query, key, _, fields, columns = sides(width, objects)
    query, key = query.to(dtype), key.to(dtype)
    scale = width**-0.5
    q, k = folded(query, key, scale, fields, columns, by_width=by_width)
    assert q.dtype == k.dtype == dtype
    assert q.shape[-1] == k.shape[-1] == folded_width(width, objects)
    kernel_scale = q.shape[-1] ** -0.5 if by_width else scale
    logits = kernel_scale * torch.einsum("bhnd,bhtd->bhnt", q.double(), k.double())
    wanted = explicit(query, key, scale, fields, columns)
    assert (logits - wanted).abs().max() < close
    assert (logits.softmax(-1) - wanted.softmax(-1)).abs().max() < close


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.float16, 0.02)])
def test_a_kernel_gives_the_same_output_with_wider_values(dtype, close):
    query, key, value, fields, columns = sides(40, 3)
    q, k = folded(query.to(dtype), key.to(dtype), 40**-0.5, fields, columns, by_width=True)
    wide = widened(value.to(dtype), q.shape[-1])
    out = narrowed(torch.nn.functional.scaled_dot_product_attention(q, k, wide), 40)
    wanted = explicit(query, key, 40**-0.5, fields, columns).softmax(-1) @ value.double()
    assert out.shape == value.shape[:2] + (20, 40)
    assert (out.double() - wanted).abs().max() < close


def test_each_head_may_have_its_own_strength():
    query, key, _, fields, columns = sides(16, 2)
    strength = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    q, k = folded(query, key, 0.25, fields, columns[:, None] * strength[..., None, None])
    added = 0.25 * (q @ k.mT - query @ key.mT)
    matrix = torch.einsum("bkn,bkt->bnt", fields, columns)
    for b in range(2):
        for h in range(3):
            assert added[b, h] == pytest.approx((strength[b, h] * matrix[b]).numpy(), abs=1e-4)


def test_the_mask_is_the_same_bias():
    _, _, _, fields, columns = sides(16, 2)
    wanted = torch.einsum("bkn,bkt->bnt", fields, columns)
    assert mask(fields, columns) == pytest.approx(wanted.numpy(), abs=1e-5)
    by_head = mask(fields[:, None].expand(-1, 3, -1, -1), columns[:, None])
    assert by_head.shape == (2, 3, 20, 11)
    assert by_head[:, 1] == pytest.approx(wanted.numpy(), abs=1e-5)


def test_columns_are_ones_at_the_tokens():
    columns = token_columns([[[1, 2], [4]], [[0]]], 5)
    assert columns.tolist() == [[[0, 1, 1, 0, 0], [0, 0, 0, 0, 1]], [[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]]


def test_a_peak_is_a_bell_over_the_place():
    """Two columns of cells, their middles at x = 0.25 and 0.75. Standard deviation 0.5 * 0.5 = 0.25 of the width: the other
    middle is two of them away, exp(-2)."""
    peak = peaks(Layout(np.array([[0.25, 0.5]]), np.full((1, 2), 0.5)), 1, 2, 0.5)
    assert peak == pytest.approx(np.array([[1.0, np.exp(-2)]]))


def test_rows_run_from_the_top():
    peak = peaks(Layout(np.array([[0.5, 0.25]]), np.full((1, 2), 0.5)), 2, 3, 0.35).reshape(2, 3)
    assert peak[0, 1] == 1.0
    assert (peak[0] > peak[1]).all()


def test_in_a_wide_picture_a_peak_is_round():
    """A picture twice as wide as high, 4 x 8 square cells: one cell to the right is as far as one cell down."""
    layout = Layout(np.array([[0.5 + 1 / 16, 0.5 + 1 / 8]]), np.array([[0.25, 0.5]]), 2.0)
    peak = peaks(layout, 4, 8, 0.35).reshape(4, 8)
    assert peak[2, 4] == pytest.approx(1.0)
    assert peak[2, 5] == pytest.approx(float(peak[3, 4]))


def test_a_field_lifts_an_objects_place_and_presses_down_everywhere_else():
    """Two columns of cells, the peaks as above: 1 and exp(-2) of the way from -1 to 1, and the other way round."""
    fields = object_fields(TWO, 1, 2, 0.5)
    low = 2 * np.exp(-2) - 1
    assert fields == pytest.approx(np.array([[1.0, low], [low, 1.0]]))
    assert object_fields(TWO, 1, 2, 0.01) == pytest.approx(np.array([[1.0, -1.0], [-1.0, 1.0]]))


def test_a_hard_field_takes_from_a_word_outside_its_box_and_adds_nothing_inside():
    """Four by four cells, a box over the two middle columns of the upper half."""
    one = Layout(np.array([[0.5, 0.25]]), np.array([[0.5, 0.5]]))
    assert hard_fields(one, 4, 4).reshape(4, 4).tolist() == [
        [-1, 0, 0, -1],
        [-1, 0, 0, -1],
        [-1, -1, -1, -1],
        [-1, -1, -1, -1],
    ]


def test_what_no_object_is_near_is_background():
    """Nine columns, objects in the middles of the third and the seventh; the cell between them is two deviations of 1/9
    from each."""
    two = Layout(np.array([[2.5 / 9, 0.5], [6.5 / 9, 0.5]]), np.full((2, 2), 0.5))
    field = background_field(two, 1, 9, 2 / 9)
    assert field[[2, 6]] == pytest.approx(np.zeros(2), abs=1e-6)
    assert field[4] == pytest.approx(1 - np.exp(-2))


def test_without_objects_there_is_no_field():
    nothing = Layout(np.zeros((0, 2)), np.zeros((0, 2)))
    assert object_fields(nothing, 4, 4, 0.35).shape == (0, 16)
    assert hard_fields(nothing, 4, 4).shape == (0, 16)
    assert not background_field(nothing, 4, 4, 0.35).any()


def test_the_spread_is_the_standard_deviation_of_a_row():
    """One head, one row with the logits 1, 3, 5 and a padding of 100: around 3 they have the variance 8 / 3."""
    query, key = torch.ones(1, 1, 1, 1), torch.tensor([1.0, 3.0, 5.0, 100.0]).view(1, 1, 4, 1)
    spread = logit_spread(query, key, 1.0, torch.tensor([[1.0, 1.0, 1.0, 0.0]]))
    assert spread.item() == pytest.approx((8 / 3) ** 0.5)
    assert logit_spread(query, key[:, :, :3], 0.5).item() == pytest.approx((8 / 3) ** 0.5 / 2)


def test_the_spread_does_not_see_what_is_the_same_for_a_whole_row():
    torch.manual_seed(0)
    query, key = torch.randn(2, 3, 9, 4), torch.randn(2, 3, 7, 4)
    shifted = key + torch.tensor([1.0, -2.0, 3.0, 0.5])
    assert logit_spread(query, shifted, 0.5) == pytest.approx(logit_spread(query, key, 0.5).numpy(), rel=1e-4)


def test_the_unit_is_the_mean_over_the_layers_as_they_were_last_measured():
    """Two images, two heads, three layers."""
    unit = ModelSpread(2, 3)
    assert unit.measured(0, torch.tensor([[1.0, 3.0], [4.0, 4.0]])).tolist() == [2.0, 4.0]
    assert unit.measured(1, torch.tensor([[6.0, 6.0], [1.0, 1.0]])).tolist() == [4.0, 2.5]
    assert unit.measured(2, torch.tensor([[4.0, 4.0], [1.0, 1.0]])).tolist() == [4.0, 2.0]
    assert unit.measured(0, torch.tensor([[8.0, 8.0], [1.0, 1.0]])).tolist() == [6.0, 1.0]  # the next pass


def test_the_unit_outlasts_a_change_of_inference_mode_and_holds_no_graph():
    with torch.inference_mode():
        unit = ModelSpread(1, 2)
        unit.measured(0, torch.tensor([[2.0]]))
    measured = unit.measured(1, torch.tensor([[4.0]], requires_grad=True))
    assert measured.tolist() == [3.0]
    assert not measured.requires_grad


@pytest.mark.parametrize(("height", "width"), [(8, 8), (64, 64), (32, 48), (128, 128)])
def test_rows_are_sampled_from_everywhere(height, width):
    rows = sampled_rows(height * width)
    quadrants = {(int(r) // width * 2 // height, int(r) % width * 2 // width) for r in rows}
    assert len(quadrants) == 4
    assert rows.min() >= 0
    assert rows.max() < height * width
