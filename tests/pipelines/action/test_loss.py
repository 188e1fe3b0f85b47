"""Mixup and label smoothing against the targets written out."""

import pytest
import torch
from torch import Tensor, nn

from specvid.pipelines.action.train import clip_loss

CLIPS, CLASSES = 5, 4


class Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(24, CLASSES)

    def forward(self, video: Tensor) -> Tensor:
        return self.linear(video.flatten(1))


@pytest.fixture
def batch() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    return Flat(), torch.randn(CLIPS, 3, 2, 2, 2), torch.tensor([0, 3, 1, 1, 2])


def slow_loss(logits: Tensor, targets: Tensor) -> float:
    total = 0.0
    for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
        normaliser = torch.logsumexp(torch.tensor(row), 0).item()
        total -= sum(share * (value - normaliser) for share, value in zip(target, row, strict=True))
    return total / len(logits)


def smooth(label: Tensor, smoothing: float) -> Tensor:
    return torch.eye(CLASSES)[label] * (1 - smoothing) + smoothing / CLASSES


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_label_smoothing(batch, smoothing: float) -> None:
    model, video, label = batch
    loss, logits = clip_loss(model, video, label, label_smoothing=smoothing)
    assert torch.equal(logits, model(video))
    assert loss.item() == pytest.approx(slow_loss(logits, smooth(label, smoothing)), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_mixup_mixes_clips_and_targets_alike(batch, smoothing: float) -> None:
    model, video, label = batch
    torch.manual_seed(3)
    loss, logits = clip_loss(model, video, label, label_smoothing=smoothing, mixup=0.4)
    torch.manual_seed(3)  # the same draws, in the same order
    share = torch.distributions.Beta(0.4, 0.4).sample().item()
    other = torch.randperm(CLIPS)
    assert 0 < share < 1
    assert not torch.equal(other, torch.arange(CLIPS))
    mixed = torch.stack([share * video[i] + (1 - share) * video[other[i]] for i in range(CLIPS)])
    torch.testing.assert_close(logits, model(mixed))
    targets = share * smooth(label, smoothing) + (1 - share) * smooth(label[other], smoothing)
    assert loss.item() == pytest.approx(slow_loss(logits, targets), rel=1e-5)
