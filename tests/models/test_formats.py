"""Blocks in transformers get the tokens of one position and frame as such: seen on a shift of time between layers."""

from collections.abc import Callable

import pytest
import torch
from backbone_cases import CASES
from torch import Tensor

from specvid.models import create_model
from specvid.models.insertion.inserted_block import InsertedBlock

FRAMES = 4
# case, place -> features there as (B, T, positions, C), by hand; class tokens left out
WAYS: dict[tuple[str, str], Callable[[Tensor], Tensor]] = {
    ("mmaction-timesformer", "transformer_layers.layers.1"): lambda x: (
        x[:, 1:].unflatten(1, (4, FRAMES)).transpose(1, 2)
    ),
    ("mmaction-timesformer_joint", "transformer_layers.layers.0.end"): (
        lambda x: x[:, 1:].unflatten(1, (4, FRAMES)).transpose(1, 2)
    ),
    ("mmaction-timesformer_space", "transformer_layers.layers.1"): lambda x: x[:, 1:].unflatten(0, (2, FRAMES)),
    ("mmaction-swin", "layers.1.blocks.1"): lambda x: x.flatten(2, 3),
    ("swin3d_t", "features.2.1"): lambda x: x.flatten(2, 3),
    ("swin_t", "features.3.1"): lambda x: x.unflatten(0, (2, FRAMES)).flatten(2, 3),
    ("mvit_v2_s", "blocks.3"): lambda x: x[:, 1:].unflatten(1, (2, -1)),
    ("mvit_v1_b", "blocks.3.attn.end"): lambda x: x[:, 1:].unflatten(1, (2, -1)),
    ("timm-vit", "blocks.3"): lambda x: x[:, 1:].unflatten(0, (2, FRAMES)),
}


@pytest.mark.parametrize(("key", "place"), WAYS)
def test_a_shift_moves_whole_frames(key: str, place: str) -> None:
    case = CASES[key]
    case.skip_without_extra()
    torch.manual_seed(0)
    model = create_model(case.name, blocks=f"tsm(fold_div=2)@{place}", **case.options).eval()
    (inserted,) = (module for module in model.modules() if isinstance(module, InsertedBlock))
    seen: list[tuple[Tensor, Tensor]] = []
    inserted.register_forward_hook(lambda module, args, output: seen.append((args[0], output)))
    with torch.no_grad():
        model.embed(case.clip())
    ((given, got),) = seen
    assert got.shape == given.shape
    as_frames = WAYS[key, place]
    before, after = as_frames(given), as_frames(got)
    half = before.shape[-1] // 2
    want = torch.zeros_like(before)
    want[:, :-1, :, :half] = before[:, 1:, :, :half]
    want[:, 1:, :, half : 2 * half] = before[:, :-1, :, half : 2 * half]
    assert before.shape[1] > 1
    assert torch.equal(after, want)
    if given.ndim == 3:  # class tokens stay
        assert torch.equal(got[:, 0], given[:, 0])
