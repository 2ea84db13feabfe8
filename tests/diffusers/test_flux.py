"""Reading a tiny Flux transformer."""

import pytest
import torch
from diffusers import FluxTransformer2DModel

from learn_to_steer.attention import token_weights
from learn_to_steer.errors import SteeringError
from learn_to_steer.hosts.diffusers.flux.transformer import flux_attention_layers, record_flux


@pytest.fixture
def flux():
    torch.manual_seed(0)
    return FluxTransformer2DModel(
        in_channels=8,
        num_layers=2,
        num_single_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=12,
        pooled_projection_dim=6,
        axes_dims_rope=(2, 2, 4),
    ).eval()


def read(flux, layers=None, stop=True, length=5):
    torch.manual_seed(1)
    ids = torch.zeros(6, 3)
    ids[:, 1:] = torch.cartesian_prod(torch.arange(2), torch.arange(3))
    return record_flux(
        flux,
        torch.randn(2, 6, 8),
        torch.ones(2),
        torch.randn(2, length, 12),
        token_weights([[[1], [2, 3]]] * 2, 5),
        2,
        3,
        layers,
        stop,
        pooled_projections=torch.randn(2, 6),
        img_ids=ids,
        txt_ids=torch.zeros(length, 3),
    )


def test_double_blocks_then_single_ones(flux):
    names = ["double.0", "double.1", "single.0", "single.1"]
    assert [layer.name for layer in flux_attention_layers(flux)] == names
    maps = read(flux)
    assert [layer.name for layer in maps.ordered().layers] == names
    assert all(m.shape == (2, 2, 2, 2, 3) for m in maps.maps)


def test_single_layers_read_alone_and_the_pass_stops_there(flux):
    late = []
    flux.single_transformer_blocks[0].register_forward_pre_hook(lambda *a: late.append(a))
    part = read(flux, ("double.1",))
    assert late == []
    assert torch.equal(part.maps[0], read(flux, stop=False).maps[1])


def test_nothing_stays_hooked(flux):
    def hooks():
        return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in flux.modules())

    read(flux)

    def fails(*arguments):
        raise KeyboardInterrupt

    handle = flux.transformer_blocks[1].register_forward_pre_hook(fails)
    with pytest.raises(KeyboardInterrupt):
        read(flux)
    handle.remove()
    assert hooks() == 0


def test_text_of_another_length_is_refused(flux):
    with pytest.raises(SteeringError, match="7 text tokens, got 5"):
        read(flux, length=7)
    with pytest.raises(SteeringError, match="triple.0"):
        read(flux, ("triple.0",))


@pytest.mark.parametrize("layers", [None, ("double.1",), ("double.0", "single.0")])
@pytest.mark.parametrize("stop", [True, False])
def test_checkpointing_gives_the_same_gradient_and_keeps_less(flux, layers, stop):
    def gradient():
        torch.manual_seed(1)
        z = torch.randn(1, 6, 8).requires_grad_()
        kept = []

        def count(tensor):
            kept.append(tensor.untyped_storage().data_ptr())
            return tensor

        ids = torch.zeros(6, 3)
        ids[:, 1:] = torch.cartesian_prod(torch.arange(2), torch.arange(3))
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            maps = record_flux(
                flux, z, torch.ones(1), torch.randn(1, 5, 12), token_weights([[[1], [2, 3]]], 5), 2, 3, layers, stop,
                pooled_projections=torch.randn(1, 6), img_ids=ids, txt_ids=torch.zeros(5, 3),
            )  # fmt: skip
        loss = sum((m * torch.linspace(0, 1, 3)).sum() for m in maps.maps)
        return torch.autograd.grad(loss, z)[0], len(kept)

    expected, all_kept = gradient()
    own = flux._gradient_checkpointing_func if hasattr(flux, "_gradient_checkpointing_func") else None
    flux.enable_gradient_checkpointing()
    enabled = flux._gradient_checkpointing_func
    found, less_kept = gradient()
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-9) and expected.abs().max() > 0
    assert less_kept < all_kept
    assert flux._gradient_checkpointing_func is enabled is not own
