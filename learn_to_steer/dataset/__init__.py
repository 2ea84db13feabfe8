"""Samples for classifiers: recorded maps of pictures whose relation is known."""

from .job import Job, plan_job
from .reading import Batch, Inputs, MapData, ShardPart, map_data
from .record import RecordedMaps, concatenate
from .recording import How, record_batch, trained_sigmas, trained_steps
from .shards import Work
from .workers import Progress, record_shards, record_with_ray

__all__ = [
    "Batch",
    "How",
    "Inputs",
    "Job",
    "MapData",
    "Progress",
    "RecordedMaps",
    "ShardPart",
    "Work",
    "concatenate",
    "map_data",
    "plan_job",
    "record_batch",
    "record_shards",
    "record_with_ray",
    "trained_sigmas",
    "trained_steps",
]
