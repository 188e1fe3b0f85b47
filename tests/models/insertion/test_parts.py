"""Temporal shift and temporal pooling against slow, obvious references, and as insertions of image networks."""

import math

import pytest
import torch
from torch import Tensor

from specvid.models import create_model
from specvid.models.insertion.inserted_block import InsertedBlock
from specvid.models.insertion.parts import create_part, list_parts

X = torch.randn(3, 8, 5, 2, 3, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 1, 1, 0]]).bool()


def slow_shift(x: Tensor, fold_div: int, real: Tensor) -> Tensor:
    """Channel by channel and frame by frame."""
    y, fold = torch.zeros_like(x), x.shape[1] // fold_div
    for clip in range(x.shape[0]):
        for channel in range(x.shape[1]):
            step = 1 if channel < fold else -1 if channel < 2 * fold else 0
            for t in range(x.shape[2]):
                if 0 <= t + step < x.shape[2] and real[clip, t + step]:
                    y[clip, channel, t] = x[clip, channel, t + step]
    return y


@pytest.mark.parametrize("fold_div", [2, 3, 8])
def test_shift(fold_div: int) -> None:
    part = create_part("tsm", 8, fold_div=fold_div)
    torch.testing.assert_close(part(X), slow_shift(X, fold_div, torch.ones_like(MASK)))
    torch.testing.assert_close(part(X, MASK), slow_shift(X, fold_div, MASK))


@pytest.mark.parametrize("factor", [2, 3, 7])
@pytest.mark.parametrize("kind", ["max", "mean"])
@pytest.mark.parametrize("masked", [False, True])
def test_pooling(factor: int, kind: str, masked: bool) -> None:
    part = create_part("tpool", 8, factor=factor, kind=kind)
    real = MASK if masked else torch.ones_like(MASK)
    y = part(X, MASK if masked else None)
    mask = part.pool_mask(MASK if masked else None, 5)
    assert y.shape == (3, 8, math.ceil(5 / factor), 2, 3)
    for clip in range(3):
        for cell in range(y.shape[2]):
            frames = [t for t in range(cell * factor, min(5, (cell + 1) * factor)) if real[clip, t]]
            values = X[clip, :, frames]
            want = torch.zeros(8, 2, 3) if not frames else values.amax(1) if kind == "max" else values.mean(1)
            torch.testing.assert_close(y[clip, :, cell], want)
            assert mask is None or mask[clip, cell] == bool(frames)


def test_shift_in_every_residual_branch_mixes_frames() -> None:
    torch.manual_seed(0)
    model = create_model("resnet18", blocks="tsm@residual").eval()
    assert sum(isinstance(module, InsertedBlock) for module in model.modules()) == 8
    x = torch.randn(1, 3, 4, 32, 32)
    other = x.clone()
    other[:, :, -1] += 1
    with torch.no_grad():
        changed = (model.forward_features(x) != model.forward_features(other)).flatten(3).any(3).any(1)[0]
    assert changed.tolist() == [True] * 4  # 8 shifts carry the last frame to all of four


def test_temporal_pooling_shortens_the_clip_for_all_that_follows() -> None:
    """Reference: the network in two halves, with the maximum of each two frames between them."""
    torch.manual_seed(0)
    bare = create_model("resnet18").eval()
    model = create_model("resnet18", blocks="tpool@layer2.end, snl@layer4").eval()
    model.load_state_dict(bare.state_dict(), strict=False)
    x, mask = torch.randn(2, 3, 5, 32, 32), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    children = list(bare.backbone.children())
    with torch.no_grad():
        y = torch.nn.Sequential(*children[:6])(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (2, 5))
        pooled = torch.stack([y[:, t : t + 2].amax(1) for t in (0, 2, 4)], 1)
        y = torch.nn.Sequential(*children[6:])(pooled.flatten(0, 1)).unflatten(0, (2, 3)).transpose(1, 2)
        torch.testing.assert_close(model.forward_features(x), y, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(model.embed(x), y.mean((2, 3, 4)), rtol=1e-4, atol=1e-5)
        alone = torch.cat([model.embed(x[:1]), model.embed(x[1:, :, :3])])
        torch.testing.assert_close(model.embed(x, mask), alone, rtol=1e-4, atol=1e-5)


def test_list_of_parts() -> None:
    assert list_parts() == ["tpool", "tsm"]


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ("tms@residual", "'tms' is unknown.*Did you mean 'tsm'"),
        ("tsm(fold=8)@residual", "option of part 'tsm' 'fold' is unknown. Did you mean 'fold_div'"),
        ("tsm(fold_div=1)@residual", "fold_div=1 of part 'tsm' is not possible with 64 channels"),
        ("tpool(factor=1)@layer1.end", "factor=1 of part 'tpool' is not possible"),
        ("tpool(kind=avg)@layer1.end", "kind of part 'tpool': 'avg' is unknown.*Choose from: max, mean"),
        ("tpool@layer1.0.conv1", "gives fewer frames than it gets, which does not fit there"),
        ("tsm@residual:3", "it is all residual branches already"),
        ("tsm@conv1.residual", "no residual branches of convolutions are known in 'conv1'"),
    ],
)
def test_mistakes(blocks: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_model("resnet18", blocks=blocks)
