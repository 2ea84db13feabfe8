"""The card that every classifier carries: what one must know to feed it."""

from __future__ import annotations

from dataclasses import dataclass

from ..attention import Renormalise, Resize
from ..errors import SteeringError

ANY_FAMILY = ("", "custom", "any")
"""Names of families that stand for no family in particular."""

FAMILY_CHANNELS = {"sd1": 128, "sd2": 195, "sdxl": 1300, "flux": 1368}
"""Channels of all attention layers that are read of a family, which is the number of their heads."""


@dataclass(frozen=True)
class ClassifierCard:
    """What one must know about a classifier to feed it.

    relations: names of the logits, canonical where the vocabulary knows them.
    channels: C of the maps it was trained on. map_size: S.
    layers: names of the attention layers it reads, None = all of the model.
    timesteps: step indices it was trained at, ascending.
    num_timesteps: number of steps of the schedule those indices belong to.
    sigmas: noise levels of `timesteps`, in the same order and unit as `objectives.StepInfo.sigma`, or None.
    family: "sd1" | "sd2" | "sdxl" | "flux" | any other name; "custom" = not known, fits any.
    renormalise, resize: see `MapStack.stacked`; files without `resize` were made with bilinear resizing.
    last_share: part of a model's own schedule, 0 at pure noise and 1 at the picture, up to which it can be believed, for a
    classifier of many schedules, which cannot name noise levels; see `steering.schedule`.
    about: free text: trained on what, measured how.
    layout: fingerprint of all attentions of the model it was trained on (`attention.layout`), "" where it is not known.
    """

    relations: tuple[str, ...]
    channels: int
    map_size: int
    layers: tuple[str, ...] | None = None
    timesteps: tuple[int, ...] = (0,)
    num_timesteps: int = 50
    sigmas: tuple[float, ...] | None = None
    family: str = "custom"
    renormalise: Renormalise = "always"
    resize: Resize = "bilinear"
    last_share: float = 1.0
    about: str = ""
    layout: str = ""

    def __post_init__(self) -> None:
        if len(self.relations) < 2 or len(set(self.relations)) != len(self.relations):
            raise SteeringError(
                f"Expected at least two different relation names, got {self.relations}; correct the "
                "classifier's card."
            )
        if self.channels < 1 or self.map_size < 2 or self.num_timesteps < 1:
            raise SteeringError(
                "Expected at least one channel, a map size of 2 or more and one timestep, got "
                f"{self.channels}, {self.map_size} and {self.num_timesteps}; correct the classifier's card."
            )
        if not self.timesteps or list(self.timesteps) != sorted(set(self.timesteps)) or self.timesteps[0] < 0:
            raise SteeringError(
                f"Expected ascending step indices from 0 on, got {self.timesteps}; correct the classifier's "
                "card."
            )
        if self.timesteps[-1] >= self.num_timesteps:
            raise SteeringError(
                f"Expected step indices below {self.num_timesteps}, got {self.timesteps[-1]}; correct the "
                "classifier's card."
            )
        if self.sigmas is not None and len(self.sigmas) != len(self.timesteps):
            raise SteeringError(
                f"Expected one noise level for each of {len(self.timesteps)} trained steps, got "
                f"{len(self.sigmas)}; correct the classifier's card."
            )
        if not 0 < self.last_share <= 1:
            raise SteeringError(
                f"Expected last_share above 0 and up to 1, got {self.last_share}; correct the classifier's card."
            )
        if self.resize not in ("bilinear", "area"):
            raise SteeringError(
                f'Expected resize to be "bilinear" or "area", got "{self.resize}"; correct the card.'
            )
        if self.renormalise not in ("official", "always"):
            raise SteeringError(
                f'Expected renormalise to be "official" or "always", got "{self.renormalise}"; '
                "correct the classifier's card."
            )

    def timestep_index(self, step: int, total: int, sigma: float | None = None) -> int:
        """The trained timestep index to use at this point of any schedule.

        Officially step index i uses the first trained index >= i. Said in noise levels: the trained step with
        the largest sigma that is not above the current one, else the last. Without noise levels on both
        sides, step `step` of `total` stands for index floor(step * num_timesteps / total). Both give the
        official mapping on the official schedule.
        """
        if self.sigmas is not None and sigma is not None:
            below = [
                (s, i)
                for s, i in zip(self.sigmas, self.timesteps, strict=True)
                if s <= sigma * (1 + 1e-3) + 1e-6
            ]
            return max(below)[1] if below else self.timesteps[-1]
        index = step * self.num_timesteps // max(1, total)
        return next((i for i in self.timesteps if i >= index), self.timesteps[-1])
