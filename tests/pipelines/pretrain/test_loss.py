"""The loss of Barlow Twins against its authors' numbers and against plain loops; what counts as collapsed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from specvid.pipelines.pretrain.config import PretrainClipsConfig, PretrainConfig, TwinsConfig
from specvid.pipelines.pretrain.loss import TwinsLoss, barlow_twins, make_projector
from specvid.pipelines.pretrain.results import Representation

GOLDEN = Path(__file__).parents[2] / "golden" / "pretrain" / "barlow_twins.safetensors"


def test_the_loss_is_that_of_the_authors_code() -> None:
    golden = load_file(GOLDEN)
    one, other = (golden[name].requires_grad_() for name in ("z1", "z2"))
    loss, figures = barlow_twins(one, other, 0.0051)
    loss.backward()
    torch.testing.assert_close(loss.detach(), golden["y"], rtol=2e-6, atol=0)
    for z, name in ((one, "grad_z1"), (other, "grad_z2")):
        torch.testing.assert_close(z.grad, golden[name], rtol=0, atol=1e-6 * float(golden[name].abs().max()) * 5)
    assert set(figures) == {"twin_correlation", "cross_correlation"}


def test_it_is_the_sum_over_pairs_of_dimensions() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 7, 3))
    expected, diagonal = 0.0, []
    for i in range(3):
        for j in range(3):
            a, b = one[:, i] - one[:, i].mean(), other[:, j] - other[:, j].mean()
            c = (a * b).mean() / np.sqrt((a.var() + 1e-5) * (b.var() + 1e-5))
            expected += (c - 1) ** 2 if i == j else 0.02 * c**2
            diagonal += [c] if i == j else []
    loss, figures = barlow_twins(torch.from_numpy(one), torch.from_numpy(other), 0.02)
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert figures["twin_correlation"].item() == pytest.approx(np.mean(diagonal))


def test_twins_meet_behind_the_projector() -> None:
    torch.manual_seed(0)
    projector, pairs = make_projector(5, (8, 4)), torch.randn(6, 2, 5)
    expected, _ = barlow_twins(projector(pairs[:, 0]), projector(pairs[:, 1]), 0.1)
    assert TwinsLoss(projector, 0.1)(pairs)[0].item() == pytest.approx(expected.item(), rel=1e-6)
    assert [tuple(p.shape) for p in projector.parameters()] == [(8, 5), (8,), (8,), (4, 8)]


def test_what_counts_as_collapsed() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(200, 1, 16))
    even = Representation.of(centres + 0.05 * rng.normal(size=(200, 2, 16)))
    assert even.spread == pytest.approx(1, abs=0.05) and even.dimensions > 14 and even.twin_top1 == 1
    assert even.correlation < 0.1 and not even.is_collapsed
    one_point = Representation.of(np.ones((50, 2, 16)) + 1e-3 * rng.normal(size=(50, 2, 16)))
    assert one_point.spread < 0.01 and one_point.is_collapsed
    line = Representation.of(rng.uniform(0.1, 1, size=(50, 1, 1)) * np.ones((1, 2, 4)) + np.eye(4)[0])
    assert line.dimensions == pytest.approx(1, abs=0.3) and line.correlation > 0.9 and line.is_collapsed
    assert Representation.of(np.zeros((3, 2, 4))).is_collapsed
    with pytest.raises(ValueError, match="not finite"):
        Representation.of(np.full((3, 2, 4), np.nan))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TwinsConfig(projector=()), r"projector \(\) must be one width or several"),
        (lambda: TwinsConfig(redundancy=-1), "redundancy -1 must not be negative"),
        (lambda: PretrainClipsConfig(val_fraction=0.1), "without labels nothing is validated"),
        (lambda: PretrainClipsConfig(height=64), "belong together"),
        (lambda: PretrainClipsConfig(size=64, height=64, width=32), "exclude each other"),
        (lambda: PretrainClipsConfig(modality="flow", jitter=0), "grey 0.2 takes colours out"),
    ],
)
def test_mistakes_are_answered(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_batch_in_parts_is_refused() -> None:
    from dataclasses import replace

    config = PretrainConfig()
    with pytest.raises(ValueError, match="accumulate 2 must be 1: the loss is of the whole batch"):
        replace(config, train=replace(config.train, accumulate=2))
