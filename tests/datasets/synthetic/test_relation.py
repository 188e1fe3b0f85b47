"""Films of two real clips each: exactly balanced, of unseen sources in the test part, far apart, the same again."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from specvid import cli
from specvid.datasets.decode import open_video
from specvid.datasets.layouts.action_set import VideoRecord
from specvid.datasets.layouts.registry import read_action
from specvid.datasets.synthetic import SYNTHESIZERS
from specvid.datasets.synthetic.relation import CLASSES, Film, Relation, compose, plan_films, synthesize_relation


def records(part: str, groups: range) -> list[VideoRecord]:
    return [
        VideoRecord(Path(f"{name}{group}{clip}.avi"), f"{part}-{name}-{group}-{clip}", label, f"{name}{group}")
        for label, name in enumerate("abc")
        for group in groups
        for clip in range(3)
    ]


@pytest.fixture(scope="module")
def films() -> list[Film]:
    return plan_films(records("train", range(4, 12)), records("test", range(4)), "abc", seed=3, scenes=40)


def test_either_clip_alone_says_nothing(films: list[Film]) -> None:
    for half in ("first", "second"):
        by_class = [
            Counter((getattr(film, half).name, film.corner, film.scene) for film in films if film.label == label)
            for label in (0, 1)
        ]
        assert by_class[0] == by_class[1]
    assert Counter(film.label for film in films) == {0: 80, 1: 80}


def test_the_class_is_whether_the_actions_agree(films: list[Film]) -> None:
    assert all(film.label == (film.first.label == film.second.label) for film in films)
    assert all(CLASSES[film.label] in film.name for film in films)
    same = [film for film in films if film.label]
    assert all(film.first.group != film.second.group for film in same)  # the background does not say it


def test_the_test_part_is_of_other_clips(films: list[Film]) -> None:
    for film in films:
        assert {film.first.name.split("-")[0], film.second.name.split("-")[0]} == {film.part}
    assert Counter(film.part for film in films) == {"train": 120, "test": 40}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("source") / "folders"
    SYNTHESIZERS["folders"](root, scenes=4)
    return root


def test_the_set_is_read_and_made_alike_again(source: Path, tmp_path: Path) -> None:
    words = ["data", "synthesize", "relation", "OUT", "--from", str(source), "--of", "folders", "--scenes", "4"]
    for name in "ab":
        words[3] = str(tmp_path / name)
        assert cli.run(words) == 0
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 18  # 16 films, the table, the settings
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    data = read_action("folders", tmp_path / "a")
    assert data.classes == list(CLASSES) and (len(data.train), len(data.test)) == (12, 4)
    with open_video(data.test[0].path) as video:
        assert len(video) == 16 and video.size == (128, 128)


@pytest.mark.parametrize("out", [".", "films", ".."])
def test_the_source_is_never_written_over(source: Path, out: str) -> None:
    """`--overwrite` replaced a synthetic source by the films that had been made of it."""
    before = sorted(source.rglob("*"))
    with pytest.raises(ValueError, match="are one folder, or one lies in the other"):
        synthesize_relation(source / out, from_=source, scenes=4, overwrite=True)
    assert sorted(source.rglob("*")) == before


def test_a_source_of_other_clips_is_another_set(source: Path, tmp_path: Path) -> None:
    """Of one name, one title, as many clips and the same classes."""
    other = tmp_path / "folders"
    SYNTHESIZERS["folders"](other, scenes=4, seed=1)
    synthesize_relation(tmp_path / "out", from_=source, of="folders", scenes=4)
    assert not synthesize_relation(tmp_path / "out", from_=source, of="folders", scenes=4).written
    with pytest.raises(ValueError, match="source"):
        synthesize_relation(tmp_path / "out", from_=other, of="folders", scenes=4)
    with pytest.raises(
        ValueError, match=r"0 of 3 actions have two clips or more to test with.*of `folders`: test/ACTION/"
    ):
        plan_films(records("train", range(4)), [], "abc", seed=0, scenes=4)


def test_sizes_are_options_of_this_set_alone(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data", "synthesize", "relation", str(tmp_path / "a"), "--from", str(source), "--of", "folders"]
    assert cli.run([*words, "--scenes", "4", "--size", "96", "--tile", "40"]) == 0
    with open_video(read_action("folders", tmp_path / "a").test[0].path) as video:
        assert video.size == (96, 96)
    assert cli.run([*words, "--scenes", "4", "--tile", "65"]) == 2
    assert "size is 128 px and tile 65 px" in capsys.readouterr().err
    assert cli.run(["data", "synthesize", "ucf101", str(tmp_path / "b"), "--size", "96"]) == 2
    assert "--size is no option of ucf101" in capsys.readouterr().err


def test_clips_lie_in_far_corners_at_different_times(source: Path) -> None:
    clips = read_action("folders", source).train
    film = Film("f", "train", 1, 0, clips[0], clips[1], corner=1)
    frames = compose(film, Relation(frames=8, size=64, tile=24))
    used = (frames != frames[0, 0, 0]).any(-1)
    assert not used[:4, 24:].any() and not used[:4, :, :40].any() and used[:4, :24, 40:].any()  # upper right
    assert not used[4:, :40].any() and not used[4:, :, 24:].any() and used[4:, 40:, :24].any()  # lower left


def test_no_network_of_single_frames_tells_the_classes(source: Path) -> None:
    """The margins of the four films of a scene, each with the sign of its class, add up to nothing."""
    data = read_action("folders", source)
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 7, 2), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 5, 2), torch.nn.ReLU()
    ).double()
    margins = torch.randn(8, dtype=torch.float64)
    scene = plan_films(data.train, data.test, data.classes, seed=0, scenes=4)[:4]
    found = []
    for film in scene:
        frames = torch.as_tensor(compose(film, Relation(frames=8, size=64, tile=24))).permute(0, 3, 1, 2) / 255.0
        found.append((2 * film.label - 1) * float(network(frames.double()).mean((0, 2, 3)).detach() @ margins))
    assert abs(sum(found)) < 1e-12 < np.ptp(np.abs(found))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"from_": ""}, "--from DIR names the real set"),
        ({"seed": -1}, "seed is -1; it must be a whole"),
        ({"scenes": 3}, "scenes is 3; it must be at least 4"),
    ],
)
def test_wrong_settings(source: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    options: dict[str, Any] = {"from_": source, "of": "folders", **change}
    with pytest.raises(ValueError, match=message):
        synthesize_relation(tmp_path / "out", **options)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((15, 128, 48), "frames is 15; it must be even"),
        ((16, 128, 65), "size is 128 px and tile 65 px"),
        ((16, 4096, 48), "at most 2048"),
    ],
)
def test_films_that_cannot_be(sizes: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Relation(*sizes)


def test_too_few_actions() -> None:
    train = records("train", range(4))[:12]
    with pytest.raises(ValueError, match="1 of 3 actions have two clips or more to train with"):
        plan_films(train, train, "abc", seed=0, scenes=4)
