"""Steering KSampler and its advanced twin: the host's own sampling call, with a steered model."""

from __future__ import annotations

from typing import Any

import comfy.samplers
from comfy_api.latest import io
from torch import Tensor

import nodes as host_nodes

from ..learn_to_steer.errors import SteeringError
from ..learn_to_steer.hosts.comfyui.capture import sample_where_needed
from ..learn_to_steer.hosts.comfyui.choice import steering_of
from ..learn_to_steer.hosts.comfyui.log import SteeringLog
from ..learn_to_steer.hosts.comfyui.run import why_not_owned
from ..learn_to_steer.hosts.comfyui.steer import steered_model, steers
from .compat import aliases
from .types import CATEGORY, CLASSIFIER, LAYOUT, MODELS, OPTIONS, RELATIONS, TRACE

ALWAYS, NEEDED = "always", "only if needed"


def _ksampler_inputs() -> list[Any]:
    return [
        io.Int.Input("steps", default=20, min=1, max=10000, tooltip="The number of steps used in the denoising process."),
        io.Float.Input("cfg", default=8.0, min=0.0, max=100.0, step=0.1, round=0.01, tooltip="How closely the picture follows the prompt."),
        io.Combo.Input("sampler_name", options=list(comfy.samplers.KSampler.SAMPLERS), tooltip="The sampling algorithm."),
        io.Combo.Input("scheduler", options=list(comfy.samplers.KSampler.SCHEDULERS), tooltip="How the noise is taken away over the steps."),
        io.Conditioning.Input("positive", tooltip="The conditioning of the Relation Prompt node; areas, masks, ControlNet may be added to it."),
        io.Conditioning.Input("negative", tooltip="What the picture should not show."),
        io.Latent.Input("latent_image", tooltip="The latents to start from; several are steered each for itself, a noise mask is respected."),
    ]  # fmt: skip


def _steering_inputs() -> list[Any]:
    return [
        RELATIONS.Input("relations", tooltip="From the Relation Prompt whose conditioning is the positive one."),
        CLASSIFIER.Input("classifier", optional=True, tooltip='From Load Relation Classifier: the universal one, or one made for this model. The method "attention" goes without.'),
        OPTIONS.Input("options", optional=True, tooltip='From Steering Options; without it the plan "fast".'),
        io.Combo.Input("steer", options=[ALWAYS, NEEDED], default=ALWAYS, optional=True, tooltip='"only if needed": sample plainly, read the relations off the attention, and sample again with steering only those pictures where one is not met.'),
        io.Float.Input("met_at", default=0.5, min=0.0, max=1.0, step=0.01, optional=True, tooltip='For "only if needed": a relation read with at least this probability counts as met.'),
        LAYOUT.Input("layout", optional=True, tooltip="From Relation Layout: places of objects by hand, for the methods with attention. Without it they are solved from the relations."),
    ]  # fmt: skip


def _outputs() -> list[Any]:
    return [
        io.Latent.Output("latent", display_name="LATENT", tooltip="The denoised latents."),
        TRACE.Output("trace", display_name="trace", tooltip="What steering did, for Steering Report."),
    ]


def _run(
    sample: Any, model: Any, positive: Any, relations: Any, classifier: Any, options: Any, layout: Any, steer: str,
    met_at: float,
) -> io.NodeOutput:  # fmt: skip
    """sample: MODEL -> (latent dict,), as the host's sampling call gives it. Raises SteeringError for the conditioning of
    another prompt."""
    log = SteeringLog(of_latents=True)
    steering = steering_of(options, relations, classifier, layout, log)
    if steers(steering):
        sentence = why_not_owned(relations, [{**extra, "cross_attn": states} for states, extra in positive])
        if sentence is not None:
            raise SteeringError(sentence)
    if steer != NEEDED:
        return io.NodeOutput(*sample(steered_model(model, steering)), steering.log)
    last: dict[str, Any] = {}

    def latents(of_model: Any) -> Tensor:
        (result,) = sample(of_model)
        last.update(result)
        return result["samples"]

    samples = sample_where_needed(latents, model, steering, met_at)
    return io.NodeOutput({**last, "samples": samples}, steering.log)


class SteeringKSampler(io.ComfyNode):
    """KSampler + steering."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_SteeringKSampler",
            **aliases("left right", "regional", "layout", "attend and excite", "learn to steer", "sampler"),
            display_name="Steering KSampler",
            category=CATEGORY,
            description="The KSampler, steered towards the relations of the prompt. Without a relation, or at strength 0, it gives "
            "what the KSampler gives.",
            inputs=[
                io.Model.Input("model", tooltip=MODELS),
                io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True, tooltip="The random seed of the noise."),
                *_ksampler_inputs(),
                io.Float.Input("denoise", default=1.0, min=0.0, max=1.0, step=0.01, tooltip="How much of the picture is drawn anew. At 0.5 and below the plan fast has no step left to steer: the pass is plain, and the report says so."),
                *_steering_inputs(),
            ],
            outputs=_outputs(),
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model: Any, seed: int, steps: int, cfg: float, sampler_name: str, scheduler: str, positive: Any, negative: Any,
        latent_image: Any, denoise: float, relations: Any, classifier: Any = None, options: Any = None,
        steer: str = ALWAYS, met_at: float = 0.5, layout: Any = None,
    ) -> io.NodeOutput:  # fmt: skip
        def sample(of_model: Any) -> Any:
            return host_nodes.common_ksampler(
                of_model,
                seed,
                steps,
                cfg,
                sampler_name,
                scheduler,
                positive,
                negative,
                latent_image,
                denoise=denoise,
            )

        return _run(sample, model, positive, relations, classifier, options, layout, steer, met_at)


class SteeringKSamplerAdvanced(io.ComfyNode):
    """KSampler (Advanced) + steering."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_SteeringKSamplerAdvanced",
            **aliases("left right", "regional", "layout", "attend and excite", "learn to steer", "sampler"),
            display_name="Steering KSampler (Advanced)",
            category=CATEGORY,
            description="The advanced KSampler, steered towards the relations of the prompt. The plan's start and end are shares "
            "of the model's own schedule, whatever steps this node runs.",
            inputs=[
                io.Model.Input("model", tooltip=MODELS),
                io.Combo.Input("add_noise", options=["enable", "disable"], default="enable", tooltip="Whether noise is added to the latents first."),
                io.Int.Input("noise_seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True, tooltip="The random seed of the noise."),
                *_ksampler_inputs(),
                io.Int.Input("start_at_step", default=0, min=0, max=10000, tooltip="The first step of the schedule that is run."),
                io.Int.Input("end_at_step", default=10000, min=0, max=10000, tooltip="The step at which the run ends."),
                io.Combo.Input("return_with_leftover_noise", options=["disable", "enable"], default="disable", tooltip="Whether noise is left for a further sampler."),
                *_steering_inputs(),
            ],
            outputs=_outputs(),
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model: Any, add_noise: str, noise_seed: int, steps: int, cfg: float, sampler_name: str, scheduler: str,
        positive: Any, negative: Any, latent_image: Any, start_at_step: int, end_at_step: int,
        return_with_leftover_noise: str, relations: Any, classifier: Any = None, options: Any = None,
        steer: str = ALWAYS, met_at: float = 0.5, layout: Any = None,
    ) -> io.NodeOutput:  # fmt: skip
        def sample(of_model: Any) -> Any:
            return host_nodes.common_ksampler(
                of_model, noise_seed, steps, cfg, sampler_name, scheduler, positive, negative, latent_image, denoise=1.0,
                disable_noise=add_noise == "disable", start_step=start_at_step, last_step=end_at_step,
                force_full_denoise=return_with_leftover_noise != "enable",
            )  # fmt: skip

        return _run(sample, model, positive, relations, classifier, options, layout, steer, met_at)


NODES: list[type[io.ComfyNode]] = [SteeringKSampler, SteeringKSamplerAdvanced]
