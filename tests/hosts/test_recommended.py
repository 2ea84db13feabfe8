"""Which layers are read where nothing else is said. Expected names are worked out from each model's own layout."""

import pytest

from learn_to_steer.attention import AttentionLayer
from learn_to_steer.classifiers import (
    SYMMETRIC_RELATIONS,
    ClassifierCard,
    SymmetricConfig,
    SymmetricRelationClassifier,
)
from learn_to_steer.hosts.families import JOINT_FAMILIES, UNET_FAMILIES
from learn_to_steer.hosts.recommended import RECOMMENDED, reading_recommended, recommended_layers
from learn_to_steer.objectives import CentroidObjective, LearnedObjective

SD1 = [f"down.{level}.{i}" for level in range(3) for i in range(2)]
SD1 += ["mid.0"] + [f"up.{level}.{i}" for level in (1, 2, 3) for i in range(3)]
SDXL = [f"down.1.{i}.{k}" for i in range(2) for k in range(2)]
SDXL += [f"down.2.{i}.{k}" for i in range(2) for k in range(10)] + [f"mid.0.{k}" for k in range(10)]
SDXL += [f"up.0.{i}.{k}" for i in range(3) for k in range(10)]
SDXL += [f"up.1.{i}.{k}" for i in range(3) for k in range(2)]

EMOJIWORLD = ["down.0.0", "down.1.0", "mid.0", "up.0.0", "up.0.1", "up.1.0", "up.1.1"]


def joint(double: int, single: int) -> list[str]:
    return [f"double.{i}" for i in range(double)] + [f"single.{i}" for i in range(single)]


def model(names: list[str], heads: int = 8) -> list[AttentionLayer]:
    return [AttentionLayer(name, name.split(".")[0], i, heads) for i, name in enumerate(names)]


@pytest.mark.parametrize(
    ("family", "names", "read"),
    [
        # Attend-and-Excite's 16 x 16 layers at 512 pixels: the third level down, the first with attention up.
        ("sd1", SD1, ["down.2.0", "down.2.1", "up.1.0", "up.1.1", "up.1.2"]),
        ("sd2", SD1, ["down.2.0", "down.2.1", "up.1.0", "up.1.1", "up.1.2"]),
        ("sdxl", SDXL, [f"down.2.1.{k}" for k in range(10)] + [f"mid.0.{k}" for k in range(10)]),
        # (i + 0.5) / 19 lies in [0.3, 0.65) for i = 6 (0.342) to 11 (0.605).
        ("flux", joint(19, 38), [f"double.{i}" for i in range(6, 12)]),
        ("chroma", joint(19, 38), [f"double.{i}" for i in range(6, 12)]),
        ("flux2", joint(8, 48), [f"double.{i}" for i in range(2, 8)]),
        # Klein 4B has five: 0.3, 0.5, 0.7 and 0.9 lie in [0.25, 1).
        ("flux2", joint(5, 20), [f"double.{i}" for i in range(1, 5)]),
        # (i + 0.5) / 24 lies in [0.25, 0.55) for i = 6 to 12.
        ("sd3", joint(24, 0), [f"double.{i}" for i in range(6, 13)]),
        ("qwen-image", joint(60, 0), [f"double.{i}" for i in range(15, 33)]),
        ("auraflow", joint(4, 32), ["double.2", "double.3", *(f"single.{i}" for i in range(8))]),
        ("z-image", joint(0, 30), [f"single.{i}" for i in range(7, 16)]),
        ("emojiworld-unet", EMOJIWORLD, ["down.0.0", "up.1.0"]),
        ("emojiworld-mmdit", joint(4, 6), ["double.1", "double.2"]),
    ],
)  # fmt: skip
def test_of_a_family(family, names, read):
    assert list(recommended_layers(family, model(names))) == read


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (joint(4, 6), ["double.1", "double.2"]),  # 0.375 and 0.625 of Flux's [0.3, 0.65)
        (joint(1, 1), ["double.0"]),  # 0.5
        (joint(2, 2), ["double.0"]),  # none of 0.25 and 0.75 lies inside; 0.25 is nearer to the middle, 0.475
        (joint(3, 0), ["double.1"]),  # as SD3: 0.5 of 0.167, 0.5, 0.833
        (joint(0, 3), ["single.1"]),
        (["down.0.0", "mid.0", "up.1.0"], ["down.0.0", "up.1.0"]),
        (["mid.0"], ["mid.0"]),
    ],
)
def test_of_a_model_that_no_row_is_for(names, read):
    """Reduced depths and unknown families are read as the family that they are built like."""
    assert list(recommended_layers("custom", model(names))) == read


def test_a_reduced_model_of_a_known_family():
    """SDXL with transformer depths 1 and 1: four attentions down, of which (i + 0.5) / 4 >= 7 / 12 for the last two."""
    names = ["down.1.0", "down.1.1", "down.2.0", "down.2.1", "mid.0", "up.0.0", "up.0.1", "up.0.2"]
    assert list(recommended_layers("sdxl", model(names))) == ["down.2.0", "down.2.1", "mid.0"]
    # A family's name on a model of another kind does not ask for blocks that are not there.
    assert list(recommended_layers("sdxl", model(joint(4, 6)))) == ["double.1", "double.2"]


def test_there_is_a_row_for_every_family_and_each_says_why():
    known = {
        *UNET_FAMILIES.values(),
        *JOINT_FAMILIES.values(),
        "flux",
        "sd3",
        "auraflow",
        "z-image",
        "chroma",
    }
    assert known <= set(RECOMMENDED)
    for row in RECOMMENDED.values():
        assert row.evidence in ("measured", "published", "assumed") and row.why
        assert all(0 <= part.begin < part.end <= 1 for part in row.parts)
    # Only what an ablation of ours has chosen is called measured.
    assert {n for n, row in RECOMMENDED.items() if row.evidence == "measured"} == {
        "emojiworld-unet",
        "emojiworld-mmdit",
    }


def test_who_reads_them():
    """A classifier for every model that names no layers; nobody else."""
    layers = model(SD1)

    def learned(**card):
        made = ClassifierCard(SYMMETRIC_RELATIONS, channels=1, map_size=8, **card)
        return LearnedObjective(SymmetricRelationClassifier(made, SymmetricConfig(mix="mean")))

    chosen = reading_recommended(learned(family="any"), "sd1", layers)
    assert chosen.layers == ("down.2.0", "down.2.1", "up.1.0", "up.1.1", "up.1.2")
    for objective in (
        learned(family="any", layers=("mid.0",)),
        learned(family="sd1"),
        learned(family="custom"),
        CentroidObjective(),
    ):
        assert reading_recommended(objective, "sd1", layers) is objective
