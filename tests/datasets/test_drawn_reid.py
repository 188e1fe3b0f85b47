"""The drawn re-ID sets: identity shows over time only, and sets are drawn whole, once, and always the same."""

import hashlib
import itertools

import numpy as np
import pytest

from specvid.datasets.drawn.gait import Gait, bits, render
from specvid.datasets.drawn.reid import draw_mars, draw_prid2011, draw_tracklets, halves
from specvid.datasets.reid import read_reid

SMALL = Gait(lanes=2, frames=4, swing=2)


def limbs(clip, task):
    """(T, 2, lanes): how far each limb stands from the middle of its lane, NaN where the row is hidden."""
    light = clip.astype(float).max(axis=3)
    found = np.full((len(clip), 2, task.lanes), np.nan)
    for t, row, lane in itertools.product(range(len(clip)), range(2), range(task.lanes)):
        rows = slice(0, 9) if row == 0 else slice(task.height - 9, task.height)
        columns = slice(lane * task.lane_width, (lane + 1) * task.lane_width)
        part = light[t, rows, columns].max(axis=0)
        weight = np.clip(part - 100, 0, None)  # background stays well below
        if weight.any():
            found[t, row, lane] = (weight * np.arange(task.lane_width)).sum() / weight.sum() - (task.lane_width - 1) / 2
    return found


@pytest.mark.parametrize("person", [0, 5, 15])
@pytest.mark.parametrize("arms", [0, 6, 15])
def test_arms_and_legs_swing_as_they_should(person, arms):
    task = Gait(noise=0.0)
    side = limbs(render(task, person, arms, np.random.default_rng(3)), task)
    shown = ~np.isnan(side[:, :, 0])
    assert (shown.sum(axis=1) == 1).all()  # never both
    assert (shown.sum(axis=0) == task.frames // 2).all()
    assert (np.sign(side[shown[:, 0], 0]) == bits(arms, 4)).all()
    assert (np.sign(side[shown[:, 1], 1]) == bits(arms, 4) * bits(person, 4)).all()


def test_every_frame_alone_says_nothing():
    """Over all sides of the arms, each person shows every picture of a frame equally often, arms and legs alike."""
    task = Gait(lanes=3, noise=0.0, frames=8)
    shown = {}
    for person in range(task.people):
        pictures = []
        for arms in range(task.people):
            clip = render(task, person, arms, np.random.default_rng(0))
            pictures += [hashlib.sha256(frame.tobytes()).hexdigest() for frame in clip]
        shown[person] = sorted(pictures)
    assert all(pictures == shown[0] for pictures in shown.values())


def test_sums_of_what_windows_show_say_nothing():
    """Any sum of a function of the arms and one of the legs has the same mean over the arms for every person."""
    task = Gait(lanes=3)
    rng = np.random.default_rng(0)
    of_arms, of_legs = rng.standard_normal((2, task.people, 16))
    number = {tuple(bits(i, 3)): i for i in range(task.people)}
    means = [
        np.mean([of_arms[a] + of_legs[number[tuple(bits(a, 3) * bits(person, 3))]] for a in range(task.people)], axis=0)
        for person in range(task.people)
    ]
    np.testing.assert_allclose(means, np.repeat(means[:1], task.people, axis=0), atol=1e-12)


def test_the_gap_between_the_rows():
    task = Gait(noise=0.0, gap=24)
    moved = np.zeros(task.height, bool)
    for arms in (0, 15):
        clip = render(task, 3, arms, np.random.default_rng(1)).astype(int)
        moved |= (clip != clip[:1]).any(axis=(0, 2, 3))
    rows = np.flatnonzero(moved)
    assert np.diff(rows).max() > 24


def test_a_distractor_has_no_gait():
    task = Gait(noise=0.0, frames=64)
    side = limbs(render(task, -1, 6, np.random.default_rng(0)), task)
    legs = np.sign(side[~np.isnan(side[:, 1, 0]), 1])
    assert len(np.unique(legs, axis=0)) > 3


def test_train_and_test_share_nobody_and_are_balanced():
    train, test = halves(Gait())
    assert sorted(train + test) == list(range(16))
    for side in (train, test):
        assert np.abs(np.sum([bits(person, 4) for person in side], axis=0)).max() == 0


def test_no_two_tracklets_of_a_person_show_the_same(tmp_path):
    task = Gait(lanes=2, frames=4, swing=2, noise=0.0)
    draw_mars(tmp_path / "mars", tracklets=4, task=task)
    data = read_reid("mars", tmp_path / "mars")
    from specvid.datasets.tracklet_frames import read_frames

    shown = []
    for tracklet in data.train:
        frames, _ = read_frames(tracklet, range(4))
        side = limbs(np.stack(frames), task)
        arms, legs = (tuple(np.sign(side[~np.isnan(side[:, row, 0]), row][0])) for row in range(2))
        shown.append((tracklet.pid, arms, legs))
    for pid in {pid for pid, _, _ in shown}:
        own = [(arms, legs) for person, arms, legs in shown if person == pid]
        assert len({arms for arms, _ in own}) == len({legs for _, legs in own}) == 4


def test_the_same_seed_draws_the_same_files(tmp_path):
    def digest(root):
        return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}

    for draw in (draw_mars, draw_prid2011, draw_tracklets):
        name = draw.__name__
        for number, seed in enumerate((0, 0, 1)):
            draw(tmp_path / f"{name}{number}", seed=seed, task=SMALL)
        first, same, other = (digest(tmp_path / f"{name}{number}") for number in range(3))
        assert first == same
        assert first.keys() == other.keys()
        assert first != other


def test_a_drawn_set_is_left_as_it_is(tmp_path):
    out = tmp_path / "set"
    assert draw_tracklets(out, task=SMALL).drawn
    again = draw_tracklets(out, task=SMALL)
    assert not again.drawn
    assert again.clips == sum(1 for path in out.rglob("*") if path.is_file())
    with pytest.raises(ValueError, match="holds another drawn set"):
        draw_tracklets(out, seed=1, task=SMALL)
    assert draw_tracklets(out, seed=1, task=SMALL, overwrite=True).drawn
    next(out.rglob("*.png")).unlink()
    with pytest.raises(ValueError, match="or a part of one"):
        draw_tracklets(out, seed=1, task=SMALL)
    (tmp_path / "own").mkdir()
    (tmp_path / "own/thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="is no drawn set"):
        draw_tracklets(tmp_path / "own", task=SMALL, overwrite=True)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["own", "set"]


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"lanes": 0}, "lanes is 0"),
        ({"frames": 4}, "two swings"),
        ({"height": 20}, "at least 32 px"),
        ({"lanes": 7}, "1 to 6"),
    ],
)
def test_impossible_gaits_are_named(options, cause):
    with pytest.raises(ValueError, match=cause):
        Gait(**options)


def test_impossible_sets_are_named(tmp_path):
    with pytest.raises(ValueError, match="at least 2"):
        draw_mars(tmp_path / "a", tracklets=1)
    with pytest.raises(ValueError, match="seed is -1"):
        draw_mars(tmp_path / "a", seed=-1)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="is a file"):
        draw_mars(tmp_path / "file")
