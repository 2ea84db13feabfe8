"""Which attentions of a model to read where nothing else is said: one row a family.

A classifier for every model reads the mean map of any layers. All of them cost a whole forward pass and mix in maps that
say nothing of places; the layers below say where objects are, and an evaluation ends after the last of them. They are
given by relative depth inside a stage of the model, so that a row serves reduced and enlarged models of its family too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..attention import AttentionLayer, Stage
from ..objectives import Objective

Evidence = Literal["measured", "published", "assumed"]
"""measured: chosen by our own ablation. published: by others, on this family. assumed: taken over from a family that is
built alike."""


@dataclass(frozen=True)
class Part:
    """Layers of one stage: those whose middle lies in [begin, end) of the stage's run of layers, 0 to 1."""

    stage: Stage
    begin: float
    end: float

    def names(self, layers: Sequence[AttentionLayer]) -> list[str]:
        """Their names in order; where none lies inside, the one that is nearest to the part's middle."""
        here = [
            layer.name for layer in sorted(layers, key=lambda layer: layer.index) if layer.stage == self.stage
        ]
        places = [(i + 0.5) / len(here) for i in range(len(here))]
        inside = [name for name, at in zip(here, places, strict=True) if self.begin <= at < self.end]
        middle = (self.begin + self.end) / 2
        return inside or [
            here[i] for i in sorted(range(len(here)), key=lambda i: abs(places[i] - middle))[:1]
        ]


@dataclass(frozen=True)
class Recommendation:
    """What to read of a family, on what evidence, and why."""

    parts: tuple[Part, ...]
    evidence: Evidence
    why: str


_LIKE_FLUX = (Part("double", 0.3, 0.65),)

RECOMMENDED = {
    "emojiworld-unet": Recommendation(
        (Part("down", 0.0, 0.5), Part("up", 0.5, 0.75)),
        "measured",
        "down.0.0 and up.1.0, its 16 x 16 layers: learn-to-steer emojiworld ablate",
    ),
    "emojiworld-mmdit": Recommendation(
        (Part("double", 0.25, 0.75),),
        "measured",
        "double.1 and double.2, the first blocks that outline objects: learn-to-steer emojiworld ablate --model mmdit",
    ),
    "sd1": Recommendation(
        (Part("down", 2 / 3, 1.0), Part("up", 0.0, 1 / 3)),
        "published",
        "the cross-attentions at a quarter of the latent's side (16 x 16 at 512 pixels) on the way down and up, which hold "
        "most of the meaning (Prompt-to-Prompt, Attend-and-Excite)",
    ),
    "sd2": Recommendation(
        (Part("down", 2 / 3, 1.0), Part("up", 0.0, 1 / 3)),
        "published",
        "the same UNet as sd1 (Attend-and-Excite's 16 x 16 layers)",
    ),
    "sdxl": Recommendation(
        (Part("down", 7 / 12, 1.0), Part("mid", 0.0, 1.0)),
        "published",
        "the second attention of the lowest level on the way down (down.2.1, at 32 x 32 of 1024 pixels), which holds the "
        "layout (InstantStyle), and the middle; nothing of the way up is run",
    ),
    "flux": Recommendation(
        _LIKE_FLUX,
        "assumed",
        "the middle of the double blocks (double.6 to double.11), where words and places have met; the single blocks, two "
        "thirds of the model, are not run",
    ),
    "flux2": Recommendation(
        (Part("double", 0.25, 1.0),), "assumed", "as flux; it has few double blocks and many single ones"
    ),
    "chroma": Recommendation(_LIKE_FLUX, "assumed", "as flux, whose blocks it has"),
    "sd3": Recommendation(
        (Part("double", 0.25, 0.55),),
        "published",
        "blocks before the middle: among the intermediate ones are those that tie words to regions (Seg4Diff)",
    ),
    "qwen-image": Recommendation((Part("double", 0.25, 0.55),), "assumed", "as sd3, by relative depth"),
    "auraflow": Recommendation(
        (Part("double", 0.5, 1.0), Part("single", 0.0, 0.25)),
        "assumed",
        "as sd3, by relative depth: it has four double blocks before 32 single ones",
    ),
    "z-image": Recommendation((Part("single", 0.25, 0.55),), "assumed", "as sd3, by relative depth"),
    "lumina2": Recommendation((Part("single", 0.25, 0.55),), "assumed", "as sd3, by relative depth"),
    "omnigen2": Recommendation((Part("single", 0.25, 0.55),), "assumed", "as sd3, by relative depth"),
}
"""One row a family, see `families` and the hosts' own words for them."""


def recommendation(family: str, layers: Sequence[AttentionLayer]) -> Recommendation:
    """The row of a family; of a family that has none, or whose row asks for a stage that this model lacks, the row of the
    best known family that is built alike."""
    stages = {layer.stage for layer in layers}
    row = RECOMMENDED.get(family)
    if row is not None and all(part.stage in stages for part in row.parts):
        return row
    if "double" in stages:
        return RECOMMENDED["flux" if "single" in stages else "sd3"]
    if "single" in stages:
        return RECOMMENDED["z-image"]
    parts = tuple(part for part in RECOMMENDED["sd1"].parts if part.stage in stages)
    return Recommendation(parts or (Part("mid", 0.0, 1.0),), "assumed", "as sd1, whose UNet it resembles")


def recommended_layers(family: str, layers: Sequence[AttentionLayer]) -> tuple[str, ...]:
    """Names of the layers to read of a model with these attentions, in execution order."""
    chosen = {name for part in recommendation(family, layers).parts for name in part.names(layers)}
    return tuple(one.name for one in sorted(layers, key=lambda layer: layer.index) if one.name in chosen)


def reading_recommended(objective: Objective, family: str, layers: Sequence[AttentionLayer]) -> Objective:
    """The objective on the layers recommended for this model, where it leaves the choice: a classifier for every model
    ("any") that names no layers. Every other objective comes back itself."""
    card = getattr(objective, "card", None)
    if card is None or card.family != "any" or objective.layers is not None or not layers:
        return objective
    return objective.reading(recommended_layers(family, layers))
