"""The synthetic re-ID sets: identity shows over time only, and sets are written completely, once, always the same."""

import numpy as np
import pytest
import torch

from specvid.datasets.synthetic.gait import Gait, direction, paint, parts, patterns, render
from specvid.datasets.synthetic.reid import synthesize_mars, synthesize_prid2011, synthesize_tracklets
from specvid.models.backbones.receptive_field import receptive_field
from specvid.models.backbones.registry import build_backbone
from specvid.models.factory import create_model

SMALL = Gait(identities=4, frames=4)
ARMS, LEGS = 0, 1


def motion(clip, task, limb):
    """(T - 1, 2): px that the spots of a limb move from frame to frame (right, down), from the phase of the pattern."""
    first = 0 if limb == ARMS else task.height - task.band
    wave = np.exp(-2j * np.pi * np.arange(task.stride) / task.stride)
    light = clip[:, first : first + task.stride, : task.stride].astype(float).mean(axis=3)
    phases = np.stack([np.angle(light.sum(axis=1) @ wave), np.angle(light.sum(axis=2) @ wave)], axis=1)
    turned = np.diff(phases, axis=0)
    return -((turned + np.pi) % (2 * np.pi) - np.pi) * task.stride / (2 * np.pi)


def between(first, second):
    """Degrees from one direction (x, y) to another, 0 to 180."""
    cosine = (first * second).sum(axis=-1) / np.linalg.norm(first, axis=-1) / np.linalg.norm(second, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


@pytest.mark.parametrize("identity", [0, 6, 14])
@pytest.mark.parametrize(("arms", "side"), [(0.3, 1), (2.0, -1), (4.5, 1)])
def test_arms_and_legs_go_as_they_should(identity, arms, side):
    task = Gait(noise=0.0)
    clip = render(task, identity, arms, side, np.random.default_rng(3))
    moved = [motion(clip, task, limb) for limb in (ARMS, LEGS)]
    for limb, heading in ((ARMS, arms), (LEGS, arms + side * task.angle(identity))):
        expected = task.speed * np.array([np.cos(heading), np.sin(heading)])
        np.testing.assert_allclose(moved[limb].mean(axis=0), expected, atol=0.03)
        np.testing.assert_allclose(moved[limb], np.tile(expected, (task.frames - 1, 1)), atol=0.3)
    assert between(moved[ARMS].mean(axis=0), moved[LEGS].mean(axis=0)) == pytest.approx(
        (identity + 1) * 180 / 16, abs=2
    )


def test_every_frame_alone_says_nothing():
    """Over all places where spots can be, whichever way they go, each frame shows the same pictures equally often."""
    task = Gait(noise=0.0)
    grid = np.stack(np.meshgrid(np.arange(task.stride), np.arange(task.stride)), axis=-1).reshape(-1, 1, 2)
    for frame in (0, 5, 15):
        shown = []
        for way in ((1, 0), (0, 1), (-1, 0), (0, -1)):
            pictures = paint(task, np.repeat(grid, 2, axis=1) + frame * task.speed * np.array(way))
            shown.append(sorted(np.round(255 * picture).astype(np.uint8).tobytes() for picture in pictures))
        assert len(set(shown[0])) > task.stride
        assert all(pictures == shown[0] for pictures in shown)


def test_arms_alone_and_legs_alone_say_nothing():
    """Every identity to test on shows the same directions of arms, and the same ones of legs; nobody's repeat."""
    task = Gait()
    _, test = parts(task)
    headings = []
    for identity in test:
        walks = [direction(task, 0, identity, number) for number in range(patterns(task))]
        assert len(set(walks)) == len(walks) == 16
        legs = [arms + side * task.angle(identity) for arms, side in walks]
        headings.append([np.sort(np.round(np.degrees(angles), 6) % 360) for angles in ([a for a, _ in walks], legs)])
    np.testing.assert_allclose(headings, np.repeat(headings[:1], len(test), axis=0), atol=1e-5)


def test_directions_of_identities_to_train_on_are_even():
    task = Gait()
    for identity in parts(task)[0]:
        walks = [direction(task, 0, identity, number) for number in range(96)]
        assert len({round(arms, 6) for arms, _ in walks}) == 48
        assert sum(side for _, side in walks) == 0
        legs = [arms + side * task.angle(identity) for arms, side in walks]
        for angles in (np.array([arms for arms, _ in walks]), np.array(legs)):
            assert max(abs(np.exp(1j * harmonic * angles).mean()) for harmonic in (1, 2, 3, 4)) < 1e-9


def test_the_bands_are_farther_apart_than_the_backbone_sees():
    task = Gait(noise=0.0)
    moved = np.zeros(task.height, bool)
    for seed in range(8):
        clip = render(task, 3, seed, 1, np.random.default_rng(seed)).astype(int)
        moved |= (clip != clip[:1]).any(axis=(0, 2, 3))
    rows = np.flatnonzero(moved)
    assert np.diff(rows).max() > task.gap
    _, height, width = receptive_field(build_backbone("r3d_tiny"))
    assert max(height, width) <= task.gap


def test_no_local_network_knows_anybody():
    """Whatever the weights, the mean embedding of everybody is the same, so no linear classifier beats guessing.

    A nonlocal block lifts that. (Spots begin where they begin for everybody here, so that no noise of drawing is left.)
    """
    task = Gait(noise=0.0)
    begin = np.random.default_rng(0).uniform(0, task.stride, (2, 2))
    spread = {}
    for blocks in ("", "snl(gate=1)@layer2.-1"):
        torch.manual_seed(0)
        model = create_model("r3d_tiny", blocks=blocks, num_classes=4, neck="none").double().eval()
        means, single = [], []
        for identity in parts(task)[1]:
            clips = []
            for number in range(patterns(task)):
                arms, side = direction(task, 0, identity, number)
                heading = np.array([arms, arms + side * task.angle(identity)])
                way = np.stack([np.cos(heading), np.sin(heading)], axis=1)
                clips.append(paint(task, begin + task.speed * np.arange(task.frames)[:, None, None] * way))
            with torch.no_grad():
                found = model.outputs(torch.from_numpy(np.stack(clips)).permute(0, 4, 1, 2, 3)).feature
            means.append(found.mean(dim=0))
            single.append(found)
        spread[blocks] = (torch.stack(means).std(dim=0) / torch.cat(single).std(dim=0)).max().item()
    assert spread[""] < 1e-8
    assert spread["snl(gate=1)@layer2.-1"] > 1e-3


def test_a_distractor_has_no_gait():
    task = Gait(noise=0.0, frames=32)
    clip = render(task, -1, 1.0, 1, np.random.default_rng(0))
    arms, legs = (motion(clip, task, limb).reshape(-1, 2) for limb in (ARMS, LEGS))
    angles = [between(arms[part].mean(axis=0), legs[part].mean(axis=0)) for part in np.split(np.arange(32), 4)[:3]]
    assert np.ptp(angles) > 20


def test_identities_to_test_on_lie_between_those_to_train_on():
    train, test = parts(Gait())
    assert sorted(train + test) == list(range(15))
    assert test == [1, 5, 9, 13]
    assert [round(np.degrees(Gait().angle(identity)), 6) for identity in test] == [22.5, 67.5, 112.5, 157.5]
    assert parts(Gait(identities=4)) == ([0, 2], [1, 3])


def test_identities_to_test_on_have_no_more_tracklets_than_are_far_apart(tmp_path):
    synthesize_mars(tmp_path / "mars", tracklets=10, distractors=1, junk=1, task=SMALL)
    folders = {path.name: len(list(path.iterdir())) for path in (tmp_path / "mars").glob("bbox_*/0*")}
    assert folders == {"0001": 40, "0003": 40, "0002": 32, "0004": 32, "0000": 4, "00-1": 4}
    synthesize_mars(tmp_path / "more", tracklets=3, test_tracklets=2, distractors=1, junk=1, task=SMALL)
    assert len(list((tmp_path / "more/bbox_test/0002").iterdir())) == 2 * 4


def test_the_same_seed_gives_the_same_files(tmp_path):
    def digest(root):
        return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}

    for synthesize in (synthesize_mars, synthesize_prid2011, synthesize_tracklets):
        name = synthesize.__name__
        for number, seed in enumerate((0, 0, 1)):
            synthesize(tmp_path / f"{name}{number}", seed=seed, task=SMALL)
        first, same, other = (digest(tmp_path / f"{name}{number}") for number in range(3))
        assert first == same
        assert first.keys() == other.keys()
        assert first != other


def test_a_synthetic_set_is_left_as_it_is(tmp_path):
    out = tmp_path / "set"
    assert synthesize_tracklets(out, task=SMALL).written
    again = synthesize_tracklets(out, task=SMALL)
    assert not again.written
    assert again.files == sum(1 for path in out.rglob("*") if path.is_file()) - 1
    with pytest.raises(ValueError, match="holds another synthetic set"):
        synthesize_tracklets(out, seed=1, task=SMALL)
    assert synthesize_tracklets(out, seed=1, task=SMALL, overwrite=True).written
    next(out.rglob("*.png")).unlink()
    with pytest.raises(ValueError, match="some of its files are missing"):
        synthesize_tracklets(out, seed=1, task=SMALL)
    (tmp_path / "own").mkdir()
    (tmp_path / "own/thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="is no synthetic set"):
        synthesize_tracklets(tmp_path / "own", task=SMALL, overwrite=True)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["own", "set"]


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"identities": 1}, "identities is 1"),
        ({"frames": 1}, "shows no motion"),
        ({"width": 8}, "at least the stride of 10 px"),
        ({"speed": 5.0}, "less than half the stride"),
    ],
)
def test_impossible_gaits_are_named(options, cause):
    with pytest.raises(ValueError, match=cause):
        Gait(**options)


def test_impossible_sets_are_named(tmp_path):
    with pytest.raises(ValueError, match="at least 2"):
        synthesize_mars(tmp_path / "a", tracklets=1)
    with pytest.raises(ValueError, match="seed is -1"):
        synthesize_mars(tmp_path / "a", seed=-1)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="is a file"):
        synthesize_mars(tmp_path / "file")
