"""Workers of Ray on this machine: they run this package, and no more slowly beside other work than this process does."""

import os

import pytest

import learn_to_steer
from learn_to_steer.evaluation.workers import RayWorkers


class Telling:
    """In the place of a bench: where it runs."""

    def setup(self):
        import learn_to_steer as there

        return {
            "file": there.__file__,
            "niceness": os.nice(0),
            "tells": os.environ.get("RAY_USAGE_STATS_ENABLED"),
        }


def test_a_worker_is_as_this_process(monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_worker_niceness", raising=False)
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    workers = RayWorkers(Telling, [], "local", 1, gpu=False)
    try:
        said = workers.setup()
    finally:
        workers.close()
    assert said == {"file": learn_to_steer.__file__, "niceness": os.nice(0), "tells": "0"}
