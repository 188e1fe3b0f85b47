"""Settings name data and weights by their content; saved maps are whole, and of the settings that are asked for."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from specvid.datasets.layouts.action_set import ActionSet, VideoRecord
from specvid.tools.study.settings import Settings, saved_maps, settings_of

SETTINGS = {"study": "test", "weights": "sha256 0", "size": 128}


def _set(folder: Path, size: int = 10) -> ActionSet:
    folder.mkdir()
    (folder / "a.mp4").write_bytes(bytes(size))
    records = [VideoRecord(folder / name, name, label) for label, name in enumerate(("a.mp4", "not there.mp4"))]
    return ActionSet(title="Two clips", classes=["x", "y"], train=records, test=records[:1])


def test_data_are_known_by_their_content(tmp_path: Path) -> None:
    def named(data: ActionSet) -> object:
        return settings_of("test", data, "DEFAULT")["data"]

    data = _set(tmp_path / "one")
    others = [
        _set(tmp_path / "larger", 11),
        replace(data, train=data.train[::-1]),
        replace(data, train=[replace(data.train[0], label=1), data.train[1]]),
        replace(data, train=[*data.train, *data.test], test=[]),
    ]
    assert str(named(data)).startswith("Two clips (2 clips to train on, 1 to test on; ")
    assert named(_set(tmp_path / "moved")) == named(data)
    assert len({named(one) for one in (data, *others)}) == 5


def test_weights_are_known_by_their_content(tmp_path: Path) -> None:
    data = _set(tmp_path / "data")
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (settings_of("test", data, str(tmp_path / name), epochs=2) for name in "abc")
    assert a == b and a["weights"] != c["weights"] and a["epochs"] == 2
    assert settings_of("test", data, "DEFAULT")["weights"] == "DEFAULT"
    with pytest.raises(ValueError, match="is no plain file"):
        settings_of("test", data, str(tmp_path))


def _never() -> dict[str, Tensor]:
    raise AssertionError("maps are made once")


def test_maps_are_made_once(tmp_path: Path) -> None:
    maps = {"train": torch.rand(3, 2).half(), "test": torch.rand(2, 2).half()}
    for make in (lambda: maps, _never):
        found = saved_maps(tmp_path / "new" / "m.safetensors", SETTINGS, make)
        assert found.keys() == maps.keys() and all(torch.equal(found[name], maps[name]) for name in maps)


@pytest.mark.parametrize("other", [{"size": 224}, {"weights": "sha256 1"}, {"study": "another"}])
def test_maps_of_other_settings_are_refused(tmp_path: Path, other: Settings) -> None:
    file, (name, value) = tmp_path / "m.safetensors", next(iter(other.items()))
    saved_maps(file, SETTINGS, lambda: {"train": torch.zeros(1)})
    there = SETTINGS[name]
    with pytest.raises(ValueError, match=rf"has maps of other settings: {name} is {there} there, and {value} here\."):
        saved_maps(file, {**SETTINGS, **other}, _never)


def test_maps_of_nobody_knows_what_are_refused(tmp_path: Path) -> None:
    save_file({"train": torch.zeros(1)}, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"study is not known there, and test here\. Give another --out"):
        saved_maps(tmp_path / "m.safetensors", SETTINGS, _never)
    (tmp_path / "half.safetensors").write_bytes((tmp_path / "m.safetensors").read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"half\.safetensors has no sound maps .* Remove it: the same command makes"):
        saved_maps(tmp_path / "half.safetensors", SETTINGS, _never)


def test_a_kill_leaves_no_maps_under_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_half(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        assert not file.exists()
        raise KeyboardInterrupt

    file = tmp_path / "m.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr("safetensors.torch.save_file", write_half)
        with pytest.raises(KeyboardInterrupt):
            saved_maps(file, SETTINGS, lambda: {"train": torch.zeros(1)})
    assert not file.exists()
    assert saved_maps(file, SETTINGS, lambda: {"train": torch.ones(1)})["train"] == 1
