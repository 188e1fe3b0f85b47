"""The clips that blocks are shown on: others stand in for those that are gone."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_reid import synthesize_tiny_mars
from tiny_ucf101 import synthesize_tiny_ucf101

from specvid import create_model
from specvid.config import to_dict
from specvid.datasets.layouts.registry import read_action, read_reid
from specvid.files import write_json
from specvid.pipelines.action.config import ActionClipsConfig, ActionConfig
from specvid.pipelines.reporting.data_part import DataPart
from specvid.pipelines.reporting.telling_clips import telling_clips


def run_of(folder: Path, task: str, data: DataPart, **islands: Any) -> Any:
    record = SimpleNamespace(task=task, path=folder)
    return SimpleNamespace(record=record, data=data, islands=islands, missing=[])


@pytest.fixture
def action(tmp_path: Path) -> Any:
    """A run on nine test clips of two classes: number 0 to 3 answered right, surest first, 4 and 5 mistaken."""
    folder = synthesize_tiny_ucf101(tmp_path / "ucf", groups=5, clips=2)
    config = ActionConfig(name="run", clips=ActionClipsConfig(data=str(folder), dataset="ucf101", frames=4, size=32))
    write_json(tmp_path / "config.json", {"specvid": "0.1.0", "task": "action", **to_dict(config)})
    records = {record.name: record for record in read_action("ucf101", folder).train}
    names = list(records)[:6]
    clips = [{"n": name, "t": 0, "p": int(i > 3), "c": 0.9 - i / 10} for i, name in enumerate(names)]
    part = {"clips": clips, "classes": ["Green", "Red"], "mistakes": [4, 5], "unsure": [3, 2, 1, 0]}
    run = run_of(tmp_path, "action", DataPart("t", str(folder), clips=records), confusions={"eval0": part})
    return run, [records[name] for name in names]


OPENED: Any = SimpleNamespace(model=create_model("r3d_tiny", num_classes=2, input={"frames": 4, "size": 32}))


def test_a_sure_hit_a_mistake_and_an_unsure_hit(action: Any) -> None:
    run, _ = action
    clips = telling_clips(run, OPENED)
    assert [clip.title for clip in clips] == ["sure hit: Green", "mistake: Green taken for Red", "unsure hit: Green"]
    assert all(clip.video.shape[0] == 3 for clip in clips) and not run.missing


def test_the_next_one_stands_in_for_one_that_is_gone(action: Any) -> None:
    run, records = action
    before = telling_clips(run, OPENED)
    for at in (0, 3, 4):
        Path(records[at].path).unlink()
    Path(records[2].path).write_bytes(b"no video")
    clips = telling_clips(run, OPENED)
    assert [clip.title for clip in clips] == [
        "sure hit: Green",
        "mistake: Green taken for Red",
    ]  # the one hit left is the sure one
    assert not any((old.video == new.video).all() for old, new in zip(before, clips, strict=False))
    assert len(run.missing) == 3 and all("clips for the blocks that cannot be read" in text for text in run.missing)
    assert Path(records[4].path).name in run.missing[1] and run.missing[2].endswith("; 2 more")


def test_without_an_evaluation_any_three(action: Any) -> None:
    run, records = action
    run.islands.clear()
    Path(records[1].path).unlink()
    clips = telling_clips(run, OPENED)
    assert [clip.title for clip in clips] == [records[0].name, records[2].name, records[3].name]


def test_two_tracklets_of_another_person_stand_in(tmp_path: Path) -> None:
    data = read_reid("mars", synthesize_tiny_mars(tmp_path / "mars"))
    tracklets = {tracklet.name: tracklet for tracklet in data.test}
    run = run_of(tmp_path, "reid", DataPart("t", str(tmp_path), tracklets=tracklets))
    opened: Any = SimpleNamespace(model=create_model("resnet18", input={"frames": 2, "size": (32, 16)}))
    first = telling_clips(run, opened)
    assert len(first) == 2
    gone = tracklets[first[0].title.split(",")[0]]
    for at in range(len(gone)):
        Path(gone.path(at)).unlink()
    second = telling_clips(run, opened)
    people = {tracklets[clip.title.split(",")[0]].pid for clip in second}
    assert len(second) == 2 and len(people) == 1 and people != {gone.pid}
    assert "cannot be read" in run.missing[0]
