"""How the host's joint-attention transformers arrange their tokens: one line per class of network.

In every one of them text comes first and the image that is drawn after it. They differ in what stands before and between
the two, in the names of their blocks, and in whether the host's wrappers reach them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from torch import Tensor

from ....attention import AttentionLayer, Stage
from ....errors import SteeringError
from .host_classes import MODULES, is_a
from .located import LocatedLayer


@dataclass(frozen=True)
class Layout:
    """One class of network.

    network: the host's class, by its name below `comfy.ldm`; it is not imported. stages: for each run of blocks, our
    name of the stage, the attribute with the blocks and the host's `block_type` of them. heads: attribute of a block
    with its number of heads. before: tokens of no word in front of the text. multiple: text and image are each filled
    up to a multiple of it. references: pictures to go by stand after the image (where not, they are refused).
    padded_in_front: the host fills a short text up at its beginning. wrapped: the network calls the host's
    `DIFFUSION_MODEL` wrappers. replaceable: its blocks may be replaced through the host's `patches_replace["dit"]`
    while gradients are taken.
    """

    network: str
    stages: tuple[tuple[Stage, str, str], ...]
    heads: str
    before: Callable[[Any], int] = lambda network: 0
    multiple: Callable[[Any], int] = lambda network: 1
    references: bool = True
    padded_in_front: Callable[[Any], bool] = lambda network: False
    wrapped: bool = True
    replaceable: bool = True


_DOUBLE_AND_SINGLE: tuple[tuple[Stage, str, str], ...] = (
    ("double", "double_blocks", "double"),
    ("single", "single_blocks", "single"),
)

LAYOUTS = (
    # Flux.2 has Flux's class; only there all blocks share one modulation.
    Layout(
        "flux.model.Flux",
        _DOUBLE_AND_SINGLE,
        "num_heads",
        padded_in_front=lambda network: bool(getattr(network.params, "global_modulation", False)),
    ),
    Layout("chroma.model.Chroma", _DOUBLE_AND_SINGLE, "num_heads"),
    Layout(
        "modules.diffusionmodules.mmdit.OpenAISignatureMMDITWrapper",
        (("double", "joint_blocks", "double"),),
        "x_block.attn.num_heads",
        before=lambda network: network.register_length,
        references=False,
        wrapped=False,
        # A block that is replaced there is checkpointed by the host itself, in a way that needs its weights in backward.
        replaceable=False,
    ),
    Layout(
        "qwen_image.model.QwenImageTransformer2DModel",
        (("double", "transformer_blocks", "double"),),
        "attn.heads",
    ),
    Layout(
        "aura.mmdit.MMDiT",
        (("double", "double_layers", "double"), ("single", "single_layers", "single")),
        "attn.n_heads",
        before=lambda network: network.register_tokens.shape[1],
        references=False,
    ),
    # One stream of text and image in every block, whatever the host calls it.
    Layout(
        "lumina.model.NextDiT",
        (("single", "layers", "double"),),
        "attention.n_local_heads",
        multiple=lambda network: getattr(network, "pad_tokens_multiple", None) or 1,
        references=False,
        replaceable=False,
    ),
    Layout(
        "omnigen.omnigen2.OmniGen2Transformer2DModel",
        (("single", "layers", "single"),),
        "attn.heads",
        references=False,
        wrapped=False,
        replaceable=False,
    ),
)


def layout_of(network: Any) -> Layout:
    """The layout of a network whose class is in the table."""
    return next(layout for layout in LAYOUTS if is_a(network, layout.network))


def blocks_of(network: Any) -> list[LocatedLayer]:
    """The joint attentions in execution order: "double.0", ..., then "single.0", ...

    Raises SteeringError where the host's class has changed and its blocks are not where they were.
    """
    layout, found = layout_of(network), list[LocatedLayer]()
    for stage, attribute, block_type in layout.stages:
        try:
            for i, block in enumerate(getattr(network, attribute)):
                layer = AttentionLayer(
                    f"{stage}.{i}", stage, len(found), int(attrgetter(layout.heads)(block))
                )
                found.append(LocatedLayer(layer, (block_type, i, 0)))
        except AttributeError as error:
            raise SteeringError(
                f"Expected {MODULES}{layout.network} as earlier versions of ComfyUI have it, found one that is built "
                f"otherwise ({error}); update this pack, models of this kind cannot be steered until then."
            ) from error
    return found


def replaceable_block(network: Any, one: LocatedLayer) -> Any | None:
    """The host's module at this place; None where the host lets nothing stand in for it."""
    for layout in LAYOUTS:
        if is_a(network, layout.network) and layout.replaceable:
            return next(
                getattr(network, attribute)[one.block[1]]
                for stage, attribute, _ in layout.stages
                if stage == one.layer.stage
            )
    return None


@dataclass(frozen=True)
class Arrangement:
    """Where text and image stand among the tokens of one pass.

    text, image: slices of the joint attention's tokens. total: all of its tokens. streams: numbers of tokens in attentions
    of text alone and of the image alone. grid: height and width of the image in tokens.
    """

    text: slice
    image: slice
    total: int
    streams: tuple[int, int]
    grid: tuple[int, int]


def arrangement(network: Any, text: int, x: Tensor, references: Sequence[Tensor]) -> Arrangement:
    """The arrangement of a network's tokens. text: tokens of the conditioning. x (b, c, h, w) or (b, c, 1, h, w): latents,
    which the network pads to whole patches. references: latents of pictures to go by.
    """
    layout = layout_of(network)
    grid = _grid(x, network.patch_size)
    grids = [grid, *(_grid(r, network.patch_size) for r in references if layout.references)]
    multiple, before = layout.multiple(network), layout.before(network)
    begin = before + _filled(text, multiple)
    pictures = _filled(sum(height * width for height, width in grids), multiple)
    return Arrangement(
        slice(before, before + text),
        slice(begin, begin + grid[0] * grid[1]),
        begin + pictures,
        (begin, pictures),
        grid,
    )


def _grid(picture: Tensor, patch: int) -> tuple[int, int]:
    return -(-picture.shape[-2] // patch), -(-picture.shape[-1] // patch)


def _filled(tokens: int, multiple: int) -> int:
    return -(-tokens // multiple) * multiple
