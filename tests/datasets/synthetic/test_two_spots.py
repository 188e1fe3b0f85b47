"""The task of the synthetic UCF-101: no cue in one spot, no local network can solve it, a nonlocal block can."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from specvid.datasets.synthetic.two_spots import CLASSES, PAIRS, TwoSpots, draw_background, draw_scene, render
from specvid.datasets.synthetic.ucf101 import plan_ucf101
from specvid.models import create_model
from specvid.models.backbones.receptive_field import receptive_field
from specvid.models.backbones.registry import build_backbone

TASK = TwoSpots()


def scenes(count: int) -> list:
    rng = np.random.default_rng(3)
    return [draw_scene(TASK, draw_background(rng), rng) for _ in range(count)]


def touched(scene, directions: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (row, column) that the first and the second spot ever change: by comparing pictures, not by geometry."""
    blank = TwoSpots(radius=1e-6)  # the same scene without its spots
    with_spots, without = render(TASK, scene, directions).astype(int), render(blank, scene, directions).astype(int)
    changed = (with_spots != without).any(axis=-1)
    half = TASK.frames // 2
    return np.argwhere(changed[:half].any(axis=0)), np.argwhere(changed[half:].any(axis=0))


def test_one_spot_says_nothing_about_the_class() -> None:
    """Each spot, with its place, colour, direction and background, stands in both classes equally often: exactly."""
    clips = list(plan_ucf101(seed=5, scenes=3))
    for which in (0, 1):
        spots = [
            (
                clip.scene.background,
                (clip.scene.first, clip.scene.second)[which],
                clip.directions[which],
                clip.group,
                clip.label,
            )
            for clip in clips
        ]
        counts = Counter(spots)
        assert len(counts) == 25 * 3 * 2 * 2
        assert set(counts.values()) == {1}
    assert Counter(clip.label for clip in clips) == {0: 150, 1: 150}
    for label, name in enumerate(CLASSES):
        directions = Counter(clip.directions for clip in clips if clip.label == label)
        assert set(directions) == set(PAIRS[name])
        assert set(directions.values()) == {75}


def test_the_class_is_whether_the_directions_agree() -> None:
    assert all(first != second for first, second in PAIRS["OppositeWays"])
    assert all(first == second for first, second in PAIRS["SameWay"])


def test_spots_move_as_they_should() -> None:
    """Centres of what differs from the empty scene: speed, direction, rows, and never both at once."""
    quiet, empty = TwoSpots(noise=0), TwoSpots(noise=0, radius=1e-6)
    columns = np.arange(quiet.size)
    for scene in scenes(5):
        for directions in (*PAIRS["SameWay"], *PAIRS["OppositeWays"]):
            cover = np.abs(render(quiet, scene, directions).astype(float) - render(empty, scene, directions)).sum(
                axis=-1
            )
            x = (cover.sum(axis=1) * columns).sum(axis=1) / cover.sum(axis=(1, 2))
            y = (cover.sum(axis=2) * columns).sum(axis=1) / cover.sum(axis=(1, 2))
            for half, spot, direction in (
                (slice(0, 8), scene.first, directions[0]),
                (slice(8, 16), scene.second, directions[1]),
            ):
                np.testing.assert_allclose(np.diff(x[half]), direction * quiet.speed, atol=0.15)
                np.testing.assert_allclose(y[half], spot.y, atol=0.15)
                np.testing.assert_allclose(x[half].mean(), spot.x, atol=0.1)


def test_the_spots_are_farther_apart_than_the_backbone_sees() -> None:
    frames, rows, columns = receptive_field(build_backbone("r3d_tiny"))
    assert frames < TASK.frames
    assert max(rows, columns) <= TASK.gap
    nearest = []
    for scene in scenes(40):
        for directions in PAIRS["OppositeWays"]:
            first, second = touched(scene, directions)
            distance = np.abs(first[:, None] - second[None]).max(axis=-1)  # (pixels of the first, of the second)
            nearest.append(distance.min())
    assert min(nearest) > TASK.gap - 1  # a field of `gap` px holds pixels up to gap - 1 apart
    assert min(nearest) <= TASK.gap + 2  # and the gap is not wasted either


def contrast(network: nn.Module, scene, frames: slice) -> float:
    """The sum of the margins of a scene's four clips, each with the sign of its class, relative to their spread."""
    clips = [render(TASK, scene, directions) for name in CLASSES for directions in PAIRS[name]]
    x = torch.from_numpy(np.stack(clips)).permute(0, 4, 1, 2, 3)[:, :, frames].double() / 255 - 0.4
    with torch.no_grad():
        logits = network(x)
    margin = logits[:, 1] - logits[:, 0]
    return float((margin * torch.tensor([-1, -1, 1, 1])).sum().abs() / (margin - margin.mean()).abs().max())


def random_network(blocks: str, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    network = create_model("r3d_tiny", blocks=blocks, num_classes=2).double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return network


@pytest.mark.parametrize("seed", range(5))
def test_no_local_network_can_tell_the_classes(seed: int) -> None:
    """Whatever the weights, the margins of a scene cancel: mean cross-entropy >= log 2. A nonlocal block lifts that."""
    scene = scenes(seed + 1)[-1]
    for frames in (slice(0, 16, 2), slice(1, 16, 2), slice(None)):  # as the loader samples them
        assert contrast(random_network("", seed), scene, frames) < 1e-8
        assert contrast(random_network("snl(gate=1)@layer2.-1", seed), scene, frames) > 1e-6


def test_render_is_seeded_and_clean() -> None:
    scene = scenes(1)[0]
    clip = render(TASK, scene, (1, 1))
    assert clip.shape == (16, 40, 40, 3)
    assert clip.dtype == np.uint8
    assert np.array_equal(clip, render(TASK, scene, (1, 1)))
    assert not np.array_equal(clip, render(TASK, scene, (1, -1)))
    quiet = render(TwoSpots(noise=0), scene, (1, 1)).astype(float)
    assert np.std(clip - quiet) / 255 == pytest.approx(TASK.noise, rel=0.2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 7}, "frames is 7"),
        ({"frames": 2}, "frames is 2"),
        ({"size": 41}, "size is 41"),
        ({"size": 32}, "at least 34 px"),
    ],
)
def test_impossible_settings_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TwoSpots(**options)


@pytest.mark.slow
def test_the_bare_backbone_sees_how_a_spot_moves() -> None:
    """It fails for want of reach, not of strength: within one class it tells left from right, on unseen scenes."""
    clips = [clip for clip in plan_ucf101(scenes=10) if clip.label == CLASSES.index("SameWay")]
    x = torch.from_numpy(np.stack([render(TASK, clip.scene, clip.directions)[::2] for clip in clips]))
    x, y = x.permute(0, 4, 1, 2, 3).float() / 255 - 0.4, torch.tensor([clip.directions[0] for clip in clips]) > 0
    unseen = torch.tensor([clip.group <= 7 for clip in clips])
    torch.manual_seed(0)
    network = create_model("r3d_tiny", num_classes=2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2, weight_decay=0.05)
    steps = 132
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, steps)
    seen = (~unseen).nonzero()[:, 0]
    for _ in range(steps):
        batch = seen[torch.randint(len(seen), (16,))]
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x[batch]), y[batch].long()).backward()
        optimizer.step()
        schedule.step()
    network.eval()
    with torch.no_grad():
        assert (network(x[unseen]).argmax(dim=1) == y[unseen]).float().mean() > 0.95
