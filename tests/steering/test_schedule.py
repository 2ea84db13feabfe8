"""Which steps are far apart."""

from learn_to_steer.steering import coarse


def test_steps_are_far_apart_in_runs_of_few():
    """Shares of a run of n steps from 0: k / n, so 1 / n apart."""
    assert coarse([0, 0.25, 0.5, 0.75]) and coarse([k / 8 for k in range(8)])
    assert not coarse([k / 10 for k in range(10)]) and not coarse([k / 20 for k in range(20)])
    assert not coarse([0.5 + k / 20 for k in range(10)]) and not coarse([0.0])
