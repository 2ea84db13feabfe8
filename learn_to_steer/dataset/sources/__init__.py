"""Sources of samples: pictures of two named objects whose relation is known. One file each."""

from .base import DIRECTIONS, PHRASES, LeftOut, Sample, Source, Worded, article
from .damage import Damage
from .listed import Entry, ListedPictures, Parts, parts_of
from .lists import LISTS, read_lists
from .mixed import Mixed, mixed_parts
from .own_pictures import OwnPictures, locate_with, own_parts
from .scenes import Scenes, read_backgrounds, read_cutouts, scene_parts

__all__ = [
    "DIRECTIONS",
    "Damage",
    "Entry",
    "LISTS",
    "LeftOut",
    "ListedPictures",
    "Mixed",
    "OwnPictures",
    "PHRASES",
    "Parts",
    "Sample",
    "Scenes",
    "Source",
    "Worded",
    "article",
    "locate_with",
    "mixed_parts",
    "own_parts",
    "parts_of",
    "read_backgrounds",
    "read_cutouts",
    "read_lists",
    "scene_parts",
]
