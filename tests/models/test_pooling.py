"""Pooling and heads against slow, obvious references."""

import pytest
import torch
from torch.nn import functional as F

from specvid.models.clip import fit_mask
from specvid.models.heads import Head
from specvid.models.pooling import POOLINGS, create_pooling

X = torch.randn(3, 5, 6, 4, 3, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 1, 0, 0, 1, 0]]).bool()


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_masked_frames_do_not_exist(name: str, dtype: torch.dtype) -> None:
    """Reference: each clip alone, with the valid frames only."""
    pool = create_pooling(name, 5).to(dtype)
    if name == "attention":
        torch.nn.init.normal_(pool.score.weight)
    x = X.to(dtype)
    broken = x.masked_fill(~MASK[:, None, :, None, None], torch.nan)
    expected = torch.cat([pool(clip[None, :, valid]) for clip, valid in zip(x, MASK, strict=True)])
    tolerance = {"rtol": 2e-2, "atol": 2e-2} if dtype is torch.bfloat16 else {}
    torch.testing.assert_close(pool(x, MASK), expected, **tolerance)
    assert not pool(x, torch.zeros_like(MASK)).any()
    if name == "max":
        assert torch.equal(pool(broken, MASK), pool(x, MASK))


def test_what_each_pooling_computes() -> None:
    mean_bdt = X.mean((3, 4))
    torch.testing.assert_close(create_pooling("mean", 5)(X), mean_bdt.mean(2))
    torch.testing.assert_close(create_pooling("max", 5)(X), mean_bdt.max(2).values)
    attention = create_pooling("attention", 5)
    torch.testing.assert_close(attention(X), mean_bdt.mean(2))  # at the start
    torch.nn.init.normal_(attention.score.weight)
    for clip, pooled in zip(mean_bdt, attention(X), strict=True):
        scores = [torch.exp(attention.score(clip[:, t])) for t in range(6)]
        torch.testing.assert_close(pooled, sum(clip[:, t] * scores[t] for t in range(6)) / sum(scores))


@pytest.mark.parametrize("window", [(2, 4, 3), (2, 2, 2), (1, 1, 1), (6, 4, 3), (9, 7, 7), (4, 3, 2)])
def test_sliding_window_then_mean(window: tuple[int, int, int]) -> None:
    """Reference: what I3D and S3D do. A window larger than the features is all of them."""
    kernel = [min(size, most) for size, most in zip(window, X.shape[2:], strict=True)]
    pool = create_pooling("mean", 5, window=window)
    torch.testing.assert_close(pool(X), F.avg_pool3d(X, kernel, stride=1).mean((2, 3, 4)))
    torch.testing.assert_close(pool(X, torch.ones_like(MASK)), pool(X))


def test_unknown_pooling() -> None:
    with pytest.raises(ValueError, match=r"pooling 'maen' is unknown\. Did you mean 'mean'"):
        create_pooling("maen", 5)


def test_fit_mask() -> None:
    mask = torch.tensor([[1, 0, 0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0, 0, 0]]).bool()
    assert fit_mask(None, 4) is None
    assert fit_mask(mask, 8) is mask
    assert fit_mask(mask, 4).tolist() == [[True, False, False, True], [False] * 4]
    assert fit_mask(mask, 1).tolist() == [[True], [False]]


def test_cells_of_a_coarser_mask_are_those_of_adaptive_pooling() -> None:
    generator = torch.Generator().manual_seed(0)
    for frames in range(1, 14):
        mask = torch.rand(8, frames, generator=generator) < 0.3
        for steps in range(1, 14):
            pooled = torch.nn.functional.adaptive_max_pool1d(mask[:, None].float(), steps)[:, 0] > 0
            assert torch.equal(fit_mask(mask, steps), pooled), (frames, steps)


def test_head_without_anything_is_the_identity() -> None:
    x = torch.randn(4, 6)
    feature, embedding, logits = Head(6)(x)
    assert feature is x
    assert embedding is x
    assert logits is None


def test_bnneck_is_the_one_of_the_paper() -> None:
    head = Head(6, num_classes=7, embedding_dim=3, neck="bnneck")
    x = torch.randn(8, 6)
    feature, embedding, logits = head(x)
    torch.testing.assert_close(feature, x @ head.projection.weight.T + head.projection.bias)
    normalised = (feature - feature.mean(0)) / (feature.var(0, unbiased=False) + head.neck.eps).sqrt()
    torch.testing.assert_close(embedding, normalised)
    torch.testing.assert_close(logits, embedding @ head.classifier.weight.T)
    assert not head.neck.bias.requires_grad
    assert head.classifier.bias is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 0}, "num_classes is 0; it must be an integer >= 1"),
        ({"num_classes": 2.0}, "num_classes is 2.0"),
        ({"embedding_dim": -3}, "embedding_dim is -3"),
        ({"neck": "bneck"}, "neck 'bneck' is unknown. Did you mean 'bnneck'"),
        ({"dropout": 1.0}, "dropout is 1.0; it is a probability"),
    ],
)
def test_head_mistakes(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Head(6, **options)
