"""Detections and demands for tests, written shortly."""

from learn_to_steer.evaluation.detections import Demand, Detection, asked_by_hand


def seen(name, box, score=1.0, mask=None):
    """A detection; box (x0, y0, x1, y1)."""
    return Detection(name, tuple(map(float, box)) if box is not None else None, score, mask)


def demand(*relations):
    """What (subject, relation, object) ... ask for."""
    return Demand(tuple(asked_by_hand(*r) for r in relations))


def square(x, y, side=20):
    """A square box by its centre."""
    return x - side / 2, y - side / 2, x + side / 2, y + side / 2
