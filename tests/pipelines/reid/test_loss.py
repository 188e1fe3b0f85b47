"""The re-ID losses against slow, obvious ones."""

import math

import numpy as np
import pytest
import torch

from specvid.models.heads import Outputs
from specvid.pipelines.reid.config import ReidClipsConfig, ReidConfig, ReidLossConfig
from specvid.pipelines.reid.loss import ReidLoss, add_centres, move_centres


def batch(seed=0, identities=4, tracklets=3, dims=6, apart=0.0):
    torch.manual_seed(seed)
    label = torch.arange(identities).repeat_interleave(tracklets)
    feature = (torch.randn(len(label), dims) + apart * label[:, None]).requires_grad_()
    return Outputs(feature, feature, torch.randn(len(label), identities, requires_grad=True)), label


def slow_triplet(feature, label, margin):
    """Hermans et al. 2017, equation 5: the farthest of the same identity, the nearest of the others, for each one."""
    x = feature.detach().numpy().astype(np.float64)
    losses = []
    for i in range(len(x)):
        same = [np.linalg.norm(x[i] - x[j]) for j in range(len(x)) if label[j] == label[i] and j != i]
        other = [np.linalg.norm(x[i] - x[j]) for j in range(len(x)) if label[j] != label[i]]
        gap = max(same) - min(other)
        losses.append(max(0.0, gap + margin) if margin else math.log1p(math.exp(gap)))
    return losses


def slow_cross_entropy(logits, label, smoothing):
    """Targets: 1 - smoothing at the label, and smoothing spread evenly over all."""
    z = logits.detach().numpy().astype(np.float64)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    target = np.full_like(z, smoothing / z.shape[1])
    target[np.arange(len(z)), label] += 1 - smoothing
    return float(-(target * log_p).sum(axis=1).mean())


@pytest.mark.parametrize("mean", ["active", "all"])
@pytest.mark.parametrize("margin", [0.3, 2.0, 0.0])
def test_batch_hard_triplets(margin, mean):
    outputs, label = batch(apart=1.2)
    loss, figures = ReidLoss(ReidLossConfig(label_smoothing=0.1, margin=margin, triplet_mean=mean))(outputs, label)
    slow = slow_triplet(outputs.feature, label, margin)
    active = [value for value in slow if value > 0]  # all of them for the soft margin
    assert 0 < len(active) < len(slow) or margin != 0.3
    count = len(active) if mean == "active" else len(slow)
    assert figures["triplet_loss"].item() == pytest.approx(sum(slow) / count, rel=1e-5)
    classifier = slow_cross_entropy(outputs.logits, label, 0.1)
    assert figures["classifier_loss"].item() == pytest.approx(classifier, rel=1e-5)
    assert loss.item() == pytest.approx(classifier + figures["triplet_loss"].item(), rel=1e-5)
    loss.backward()
    assert outputs.feature.grad.abs().sum() > 0


def test_weights_of_the_parts():
    outputs, label = batch()
    config = ReidLossConfig(triplet=0.0, label_smoothing=0.0)
    loss, figures = ReidLoss(config)(outputs, label)
    assert "triplet_loss" not in figures
    assert loss.item() == pytest.approx(slow_cross_entropy(outputs.logits, label, 0.0), rel=1e-5)
    right = (outputs.logits.argmax(1) == label).float().mean()
    assert figures["accuracy"] == right


def test_centre_loss_and_its_moving_centres():
    outputs, label = batch()
    centres = torch.randn(4, 6)
    before = centres.clone()
    config = ReidLossConfig(triplet=0.0, centre=0.5)
    loss, figures = ReidLoss(config)(outputs, label, centres)
    feature = outputs.feature.detach()
    slow = sum(((feature[i] - before[label[i]]) ** 2).sum() / 2 for i in range(len(label))) / len(label)
    assert figures["centre_loss"].item() == pytest.approx(slow.item(), rel=1e-5)
    plain = slow_cross_entropy(outputs.logits, label, 0.1)
    assert loss.item() == pytest.approx(plain + 0.5 * slow.item(), rel=1e-5)
    for identity in range(4):
        own = feature[label == identity]
        change = (before[identity] - own).sum(0) / (1 + len(own))
        torch.testing.assert_close(centres[identity], before[identity] - 0.5 * change)


def test_centres_of_the_absent_stay():
    centres = torch.ones(3, 2)
    move_centres(centres, torch.zeros(2, 2), torch.tensor([1, 1]))
    assert centres.tolist() == [[1, 1], [pytest.approx(2 / 3)] * 2, [1, 1]]


def test_centres_are_saved_with_the_model():
    model = torch.nn.Linear(2, 2)
    add_centres(model, 5, 3)
    assert model.state_dict()["centres"].shape == (5, 3)


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda: ReidConfig(clips=ReidClipsConfig(identities=5, tracklets=4)), r"identities x tracklets = 5 x 4 = 20"),
        (lambda: ReidConfig(name="a/b"), "plain folder name"),
        (lambda: ReidClipsConfig(val_fraction=1.0), r"val_fraction 1\.0"),
        (lambda: ReidClipsConfig(frames=0), "frames 0"),
        (lambda: ReidClipsConfig(zoom=0.9), r"zoom 0\.9"),
        (lambda: ReidLossConfig(label_smoothing=1.0), r"label_smoothing 1\.0"),
        (lambda: ReidLossConfig(margin=-1.0), r"margin -1\.0"),
    ],
)
def test_impossible_settings_are_named(make, cause):
    with pytest.raises(ValueError, match=cause):
        make()
