"""The attention guidance of one run of a sampler: its layouts, its steps, and the model options of each call.

Every call of the model at a guided noise level is biased, on the rows of the prompt's own conditioning and on no others:
the host names the conditioning of each row of a pass (`uuids`). Nothing else of the call is changed, and no pass is added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import comfy.model_patcher
import comfy.patcher_extension
import torch
from torch import Tensor

from ....attention import MapStack
from ....guidance import AttentionGuidance, GuidancePlan, ModelSpread, calibrated, guided_layers
from ....objectives import Objective, StepInfo, learned_part
from ...guiding import GuidanceTargets
from ...targets import knows
from ..prompt.owner import placed
from ..prompt.relations import PromptRelations
from ..read.located import LocatedLayer
from ..rehearsal import step_of_sigma
from .hooks import Hooks, hung
from .layers import GuidedPass
from .record import GuidedRecord, labels_of

_KEY = "learn_to_steer_guidance"

AMBIGUOUS = (
    "Attention was not guided while the picture's conditioning was more than this one prompt over the whole picture "
    "(areas, several prompts)."
)


class GuidedRun:
    """The guidance of one run.

    wanted: of the images of the batch. objective: a trained classifier reads the run's own passes. network, located,
    family: of the model. strength: multiplies the plan's. shares, sigmas: where each step of the run begins. note: hears
    what could not be guided, in sentences.
    """

    def __init__(
        self,
        plan: GuidancePlan,
        relations: PromptRelations,
        wanted: GuidanceTargets,
        objective: Objective,
        network: Any,
        located: Sequence[LocatedLayer],
        family: str,
        strength: float,
        shares: Sequence[float],
        sigmas: Sequence[float],
        note: Callable[[str], None],
    ) -> None:
        self.network, self.located, self.sigmas = network, located, list(sigmas)
        self.objective, self.note = objective, note
        layers = [one.layer for one in located]
        self.names = guided_layers(layers, plan.layers)
        found = calibrated(family, layers)
        own = found.strength if plan.strength is None else plan.strength
        steps, self.why_not = plan.steps(shares)
        learned = learned_part(objective) is not None
        self.watched = [
            [r for r, target in enumerate(of_image) if learned and knows(objective, target.relation)]
            for of_image in wanted.targets
        ]
        tokens = torch.zeros(len(wanted.targets), relations.length)
        tokens[:, list(relations.own)] = 1.0
        self.control = AttentionGuidance(
            plan,
            wanted.targets,
            wanted.layouts,
            wanted.columns,
            steps,
            own * strength,
            tokens,
            found.background if plan.background is None else plan.background,
            found.width if plan.width is None else plan.width,
        )
        self._spread = ModelSpread(len(wanted.targets), len(self.names))
        self.record = GuidedRecord(
            wanted.layouts,
            wanted.objects,
            labels_of(wanted),
            self.control.strength,
            len(self.names),
            self.control.record,
        )
        self._hooks = Hooks()
        self._noted: set[int] = set()
        self._read: set[int] = set()

    def step(self, sigma: Tensor) -> int | None:
        """The step that a call of the model at this noise level belongs to, where attention is guided; None for others. It
        is put down what is on at each step, once. sigma (B,)."""
        step = step_of_sigma(float(sigma.max()), self.sigmas)
        if step is not None and step not in self._noted:
            self._noted.add(step)
            self.control.note(step)
        return step if step is not None and step in self.control.steps else None

    def options(
        self, options: dict[str, Any], step: int, entry: dict[str, Any], begins: Sequence[int]
    ) -> dict[str, Any]:
        """The model options of a call at this step: a copy with one more wrapper, or the same where nothing is on.

        entry: the prompt's own entry of the conditioning. begins: where the prompt begins in its text states.
        """
        if not self.control.active(step):
            return options
        length = entry["cross_attn"].shape[1]
        assert self.control.tokens is not None
        columns = placed(self.control.guided_columns, begins, length)
        tokens = placed(self.control.tokens[:, None], begins, length)
        patching = comfy.patcher_extension
        options = comfy.model_patcher.create_model_options_clone(options)
        wrapper = self._wrapper(entry.get("uuid"), columns, tokens, step)
        patching.add_wrapper_with_key(
            patching.WrappersMP.APPLY_MODEL, _KEY, wrapper, options, is_model_options=True
        )
        return options

    def reads(self, step: int) -> bool:
        """Whether the maps of this step's first pass are to be read: a trained classifier switches relations off."""
        first = step not in self._read
        self._read.add(step)
        return first and self.control.switches and any(self.watched)

    def weights(self, begins: Sequence[int], length: int) -> Tensor:
        """(B, K, T): averaging weights over the tokens of each object, in a text of `length` tokens."""
        columns = placed(self.control.columns, begins, length)
        return columns / columns.sum(-1, keepdim=True).clamp(min=1)

    def take(self, maps: MapStack, info: StepInfo) -> None:
        """What the maps of the sampler's own pass, as `weights` weighs them, say at a step."""
        images = [i for i in self.control.images if self.watched[i]]
        relations = [self.watched[i] for i in images]
        targets = [
            [self.control.targets[i][r] for r in rows] for i, rows in zip(images, relations, strict=True)
        ]
        reading = self.objective(MapStack(maps.layers, tuple(m[images] for m in maps.maps)), targets, info)
        self.control.observe(reading.probability, images, relations)

    def _wrapper(self, uuid: Any, columns: Tensor, tokens: Tensor, step: int) -> Any:
        """A wrapper of one call of the host's model (`APPLY_MODEL`, which every family passes through)."""

        def around_model(
            executor: Any, x: Tensor, t: Tensor, c_concat: Any = None, c_crossattn: Any = None, control: Any = None,
            transformer_options: dict[str, Any] | None = None, **kwargs: Any,
        ) -> Any:  # fmt: skip
            said = dict(transformer_options or {})
            rows = _rows_of(uuid, said.get("uuids"), len(x), len(columns))
            if rows is None or c_crossattn is None:
                return executor(x, t, c_concat, c_crossattn, control, said, **kwargs)
            said["wrappers"] = _without(said.get("wrappers", {}), _KEY)
            guided = GuidedPass(
                self.control, self._spread, columns, tokens, self.names, rows, len(x), self.note
            )
            given = {"x": x, "context": c_crossattn, "ref_latents": kwargs.get("ref_latents")}
            self.record.done.add(step)
            with hung(guided, self._hooks, self.located, self.network, given, said):
                return executor(x, t, c_concat, c_crossattn, control, said, **kwargs)

        return around_model


def _without(wrappers: dict[str, Any], key: str) -> dict[str, Any]:
    """The wrappers of a pass but those under this key: they have had their turn, and a compiled model would take new ones
    for another graph."""
    return {kind: {k: v for k, v in by_key.items() if k != key} for kind, by_key in wrappers.items()}


def _rows_of(uuid: Any, uuids: Sequence[Any] | None, rows: int, images: int) -> slice | None:
    """The rows of a pass that belong to this entry of a conditioning; None where it is not among them. uuids: of each chunk
    of rows."""
    if uuid is None or not uuids or list(uuids).count(uuid) != 1 or rows != len(uuids) * images:
        return None
    begin = list(uuids).index(uuid) * images
    return slice(begin, begin + images)
