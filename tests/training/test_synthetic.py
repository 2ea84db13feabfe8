"""Maps that no model made: boxes by GenEval's rule, and blobs that stand where the boxes do."""

import torch

from learn_to_steer.classifiers import SYMMETRIC_RELATIONS
from learn_to_steer.training.synthetic import relations_of, synthetic_pairs


def boxes(*offsets, side=0.2):
    """Pairs of square boxes, the second in the middle of the picture."""
    first = torch.tensor([[0.5 + x, 0.5 + y] for x, y in offsets])
    return torch.stack([first, torch.full_like(first, 0.5)], 1), torch.full((len(offsets), 2, 2), side)


def test_the_rule():
    """Worked out by hand: margin 0.1 * (0.2 + 0.2) = 0.04 an axis, divided by the length before the shrinking."""
    held = relations_of(
        *boxes(
            (-0.3, 0.0),  # (0.26, 0) / 0.3 = 0.87 to the left
            (0.3, 0.1),  # (0.26, 0.06) / 0.316 = 0.82, 0.19
            (0.0, -0.3),  # above: y runs downwards
            (0.05, 0.3),
            (-0.3, -0.3),  # 0.26 / 0.424 = 0.61 on both axes: left and above
            (0.03, 0.0),  # within the margin: none
            (0.07, 0.0),  # 0.03 / 0.07 = 0.43: none
            (0.09, 0.0),  # 0.05 / 0.09 = 0.56
        )
    )
    assert SYMMETRIC_RELATIONS == ("to the left of", "to the right of", "above", "below")
    left, right, above, below = (torch.tensor([i == k for i in range(4)]) for k in range(4))
    none = torch.zeros(4, dtype=torch.bool)
    assert torch.equal(held, torch.stack([left, right, above, below, left | above, none, none, right]))


def test_pairs_are_where_their_relation_says():
    """Of the centres of attention, less what both maps share, nearly all lie on the side that the label says: parts of
    objects, hidden halves and further objects move some."""
    maps, relation = synthetic_pairs(2000, 16, torch.Generator().manual_seed(0))
    assert maps.shape == (2000, 2, 16, 16) and maps.dtype == torch.float32
    assert maps.isfinite().all() and maps.min() >= 0 and maps.amax((-2, -1)).min() > 0.05
    assert torch.bincount(relation, minlength=4).min() > 400
    at = (torch.arange(16) + 0.5) / 16
    total = maps.sum((-2, -1))
    x, y = (maps.sum(-2) * at).sum(-1) / total, (maps.sum(-1) * at).sum(-1) / total
    dx, dy = x[:, 0] - x[:, 1], y[:, 0] - y[:, 1]
    along = torch.stack([-dx, dx, -dy, dy], 1).gather(1, relation[:, None])
    assert (along > 0).float().mean() > 0.95


def test_the_same_numbers_the_same_maps():
    first = synthetic_pairs(8, 16, torch.Generator().manual_seed(5))
    again = synthetic_pairs(8, 16, torch.Generator().manual_seed(5))
    other = synthetic_pairs(8, 16, torch.Generator().manual_seed(6))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
