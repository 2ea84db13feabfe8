"""Check Steering: can this checkpoint be expected to obey?"""

from __future__ import annotations

from typing import Any

import comfy.model_management
import comfy.samplers
import comfy.utils
from comfy_api.latest import io, ui

from ..learn_to_steer.errors import SteeringError, UnreadableModel
from ..learn_to_steer.evaluation.check import (
    PROMPTS,
    check,
    check_lines,
    check_sheet,
    verdict,
    verdict_of_judge,
)
from ..learn_to_steer.evaluation.judges import RuleJudge
from ..learn_to_steer.hosts.comfyui.probe import GraphProbe
from ..learn_to_steer.hosts.comfyui.steer import check_fit
from ..learn_to_steer.steering import SteeringPlan
from .compat import ADVANCED, aliases
from .detector import HostDetector
from .pictures import to_images
from .types import CATEGORY, CLASSIFIER, SPEAKS


class CheckSteering(io.ComfyNode):
    """MODEL, CLIP, VAE + classifier -> a sheet and a verdict."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_CheckSteering",
            **SPEAKS,
            **aliases("will it obey", "test model", "compatibility", "left right", "benchmark"),
            is_output_node=True,
            display_name="Check Steering",
            category=CATEGORY,
            description="Draws a few prompts plainly and steered, asks the model in the middle of the runs where its words act, and says "
            "whether it can be expected to obey.",
            inputs=[
                io.Model.Input("model", tooltip="The model to check."),
                io.Clip.Input("clip", tooltip="Its text encoder."),
                io.Vae.Input("vae", tooltip="Its autoencoder."),
                CLASSIFIER.Input("classifier", tooltip="From Load Relation Classifier: one made for this model, or none."),
                io.Latent.Input("latent_image", tooltip="An empty latent of the size to check at; its first picture counts."),
                io.String.Input("prompts", multiline=True, default="\n".join(PROMPTS), tooltip="Two prompts or more, one a line, each with one relation."),
                io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, tooltip="The random seed of the first picture; the next ones follow."),
                io.Int.Input("seeds", default=4, min=1, max=64, tooltip="So many pictures of each prompt, plain and steered."),
                io.Int.Input("steps", default=20, min=2, max=10000, tooltip="The number of steps used in the denoising process."),
                io.Float.Input("cfg", default=8.0, min=0.0, max=100.0, step=0.1, round=0.01, tooltip="How closely the picture follows the prompt."),
                io.Combo.Input("sampler_name", options=list(comfy.samplers.KSampler.SAMPLERS), tooltip="The sampling algorithm."),
                io.Combo.Input("scheduler", options=list(comfy.samplers.KSampler.SCHEDULERS), tooltip="How the noise is taken away over the steps."),
                io.Float.Input("strength", default=1.0, min=0.05, max=10.0, step=0.05, optional=True, tooltip="Multiplies every move of the plan fast.", **ADVANCED),
                io.String.Input("negative", default="", optional=True, tooltip="What the pictures should not show.", **ADVANCED),
                io.Model.Input("detector", optional=True, tooltip="An RT-DETR model from Load Diffusion Model: it sees the pictures and decides. The prompts must be about the 80 things that it knows."),
            ],
            outputs=[
                io.Image.Output("sheet", display_name="sheet", tooltip="All pictures: a row for each prompt plain and steered, a column for each seed."),
                io.String.Output("text", display_name="text", tooltip="The verdict, what it rests on, and the settings to use."),
                io.Boolean.Output("obeys", display_name="obeys", tooltip="Whether this model can be expected to obey."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model: Any, clip: Any, vae: Any, classifier: Any, latent_image: Any, prompts: str, seed: int, seeds: int,
        steps: int, cfg: float, sampler_name: str, scheduler: str, strength: float = 1.0, negative: str = "",
        detector: Any = None,
    ) -> io.NodeOutput:  # fmt: skip
        lines = list(dict.fromkeys(line.strip() for line in prompts.splitlines() if line.strip()))
        if not lines:
            raise SteeringError("Expected prompts to check with, got none; write one a line.")
        plan = SteeringPlan.preset("fast", strength=strength)
        try:
            check_fit(model, classifier, plan)
        except UnreadableModel:
            pass  # the check says so, with the plain pictures
        judge = None if detector is None else RuleJudge("RT-DETR", HostDetector(detector), "geneval")
        probe = GraphProbe(
            model, clip, vae, latent_image, negative or "", steps, cfg, sampler_name, scheduler
        )
        bar, done = comfy.utils.ProgressBar(2 * len(lines)), 0

        def progress() -> None:
            nonlocal done
            comfy.model_management.throw_exception_if_processing_interrupted()
            done += 1
            bar.update_absolute(done)

        numbers = [(seed + i) % 2**64 for i in range(seeds)]
        decide = verdict if judge is None else verdict_of_judge
        found = check(probe, classifier, plan, lines, numbers, seeds, judge, decide, progress)
        card = getattr(classifier, "card", None)
        named = (
            f"one for {card.family}" if card is not None else "none, the centres of attention are compared"
        )
        settings = [
            f"Settings: Apply Relation Steering or a Steering KSampler with this classifier, Steering Options with the plan fast "
            f"and strength {strength:g}; {sampler_name}, {scheduler}, {steps} steps, cfg {cfg:g}."
        ]
        text = "\n".join(check_lines(found, named, settings))
        sheet = check_sheet(found, f"Check Steering: {found.verdict.answer}")
        return io.NodeOutput(
            to_images([sheet]), text, found.verdict.answer == "will obey", ui=ui.PreviewText(text)
        )


NODES: list[type[io.ComfyNode]] = [CheckSteering]
