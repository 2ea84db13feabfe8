"""Best First Noise: a seed chosen among several before anything is drawn."""

from __future__ import annotations

from typing import Any

import comfy.utils
from comfy_api.latest import io, ui
from comfy_extras.nodes_custom_sampler import Noise_RandomNoise

from ..learn_to_steer.hosts.comfyui.first_noise import tried_noises
from ..learn_to_steer.steering import MOST
from .compat import aliases
from .types import CATEGORY, CLASSIFIER, MODELS, RELATIONS, SPEAKS


class BestFirstNoise(io.ComfyNode):
    """Seed -> the best of several seeds that follow from it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LearnToSteer_BestFirstNoise",
            **SPEAKS,
            **aliases("seed search", "best of n", "seeds tried", "random noise", "noise selection", "initial noise"),
            display_name="Best First Noise",
            category=CATEGORY,
            description="Tries several first noises by one short pass of the model each, without a gradient, and keeps the one whose "
            "attention promises the prompt's relations and objects best. The same seed always makes the same choice.",
            inputs=[
                io.Model.Input("model", tooltip=MODELS),
                io.Conditioning.Input("positive", tooltip="The conditioning of the Relation Prompt node."),
                RELATIONS.Input("relations", tooltip="From the same Relation Prompt node."),
                CLASSIFIER.Input("classifier", tooltip="From Load Relation Classifier: the universal one, or one made for this model."),
                io.Latent.Input("latent_image", tooltip="The latents that the sampler is given: the noises fit them. Of a batch one seed is kept, the best on average."),
                io.Int.Input("noise_seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True, tooltip="The first seed tried; the others follow from it."),
                io.Int.Input("seeds_tried", default=8, min=1, max=MOST, tooltip="So many first noises, one pass each. 1 keeps the seed and costs nothing."),
            ],
            outputs=[
                io.Noise.Output("noise", display_name="NOISE", tooltip="The noise of that seed, for SamplerCustomAdvanced."),
                io.Int.Output("seed", display_name="seed", tooltip="The seed that was kept, for the seed of a KSampler or a Steering KSampler."),
                io.String.Output("text", display_name="text", tooltip="The seeds with their scores, the one that was kept, and the passes spent."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model: Any, positive: Any, relations: Any, classifier: Any, latent_image: Any, noise_seed: int,
        seeds_tried: int,
    ) -> io.NodeOutput:  # fmt: skip
        bar = comfy.utils.ProgressBar(seeds_tried)
        found = tried_noises(
            model,
            positive,
            relations,
            classifier,
            latent_image,
            noise_seed,
            seeds_tried,
            lambda: bar.update(1),
        )
        text = found.in_words()
        return io.NodeOutput(Noise_RandomNoise(found.seed), found.seed, text, ui=ui.PreviewText(text))


NODES: list[type[io.ComfyNode]] = [BestFirstNoise]
