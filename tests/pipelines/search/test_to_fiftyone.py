"""A data set of embeddings in FiftyOne: every row and every column."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from fiftyone_in_memory import fiftyone_in_memory
from synthetic_embeddings import write_embeddings

from specvid.cli import run as command
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.search.to_fiftyone import field_names

COLUMNS = {
    "label": ["run", None, "<b>é</b>"] * 4,
    "camid": [*range(12)],
    "tags": [["a"], [], None] * 4,
    "a b": [0.5, None, 1.5] * 4,
    "huge": np.full(12, 2**64 - 1, np.uint64),
}


@pytest.fixture
def embedded(tmp_path: Path) -> Folder:
    vectors = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    (tmp_path / "0.avi").touch()
    ids = [str(tmp_path / f"{number}.avi") for number in range(12)]
    return write_embeddings(tmp_path / "emb", vectors, ids=ids, columns=COLUMNS, shard_size=5)


def check(samples: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    printed = capsys.readouterr()
    assert "12 samples in data set mine of FiftyOne" in printed.out
    assert (
        "column 'tags' is the field 'column_tags'" in printed.err and "11 files, which cannot be found" in printed.err
    )
    assert [Path(sample["filepath"]).name for sample in samples] == [f"{n}.avi" for n in range(12)]
    assert samples[3]["input_id"].endswith("3.avi") and samples[2]["label"] == "<b>é</b>" and samples[7]["camid"] == 7
    assert (
        list(samples[0]["column_tags"]) == ["a"] and samples[2]["a_b"] == 1.5 and samples[0]["huge"] == str(2**64 - 1)
    )
    assert list(samples[0]["window"].support) == [1, 25] and samples[0]["window"].label == "run"
    vectors = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    assert np.array_equal(np.stack([sample["embedding"] for sample in samples]), vectors)


def test_every_row_and_column_is_there(
    embedded: Folder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fiftyone = fiftyone_in_memory(monkeypatch)
    words = ["embed", "export", str(embedded.path), "--to", "fiftyone", "--name", "mine"]
    assert command(words) == 0
    made = fiftyone.load_dataset("mine")
    assert made.persistent and made.media_type == "video"
    check(list(made), capsys)
    assert command(words) == 2
    assert "has a data set 'mine' already" in capsys.readouterr().err


class Sample(dict):
    """As far as the export uses it."""

    def __init__(self, filepath: str, **fields: Any) -> None:
        super().__init__(filepath=filepath, **fields)
        self.media_type = "video" if filepath.endswith(".avi") else "image"


class Dataset(list):
    """Likewise; `made` are those that were not deleted."""

    made: ClassVar[dict[str, "Dataset"]] = {}
    most = 1000

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name, self.persistent = name, False
        self.made[name] = self

    def add_samples(self, samples: Any, num_samples: int) -> None:
        for sample in samples:
            if len(self) == self.most:
                raise RuntimeError("the disk\nis full")
            self.append(sample)

    def delete(self) -> None:
        del self.made[self.name]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The part of FiftyOne's interface that the export uses, where FiftyOne is not installed."""
    monkeypatch.setattr(Dataset, "made", {})
    module = SimpleNamespace(
        Dataset=Dataset,
        Sample=Sample,
        TemporalDetection=SimpleNamespace,
        dataset_exists=lambda name: name in Dataset.made,
    )
    monkeypatch.setitem(sys.modules, "fiftyone", module)  # type: ignore[arg-type]
    return module


def export(folder: Folder, *more: str) -> int:
    return command(["embed", "export", str(folder.path), "--to", "fiftyone", "--name", "mine", *more])


def test_rows_become_samples(embedded: Folder, stand_in: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(embedded) == 0
    assert Dataset.made["mine"].persistent
    check(Dataset.made["mine"], capsys)
    assert export(embedded) == 2
    assert "has a data set 'mine' already" in capsys.readouterr().err


def test_images_stand_for_folders_and_tracklets(tmp_path: Path, stand_in: Any) -> None:
    shot = tmp_path / "shot"
    shot.mkdir()
    for number in range(5):
        (shot / f"{number}.jpg").touch()
    crops = [b"crops/1.jpg", b"crops/2.jpg", b"crops/3.jpg"]
    folder = write_embeddings(
        tmp_path / "emb", np.eye(2), ids=[str(shot), "7/3"], columns={"files": [None, crops]}, shard_size=5
    )
    assert export(folder) == 0
    samples = Dataset.made["mine"]
    assert [sample["filepath"] for sample in samples] == [str(shot / "2.jpg"), str(Path("crops/2.jpg").absolute())]
    assert not any("window" in sample or "files" in sample for sample in samples)


def test_deleted_inputs_stay_out(embedded: Folder, stand_in: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["embed", "delete", str(embedded.path), "--where", "camid >= 10"]) == 0
    assert export(embedded) == 0
    assert len(Dataset.made["mine"]) == 10


def test_what_fails_leaves_nothing(
    embedded: Folder, stand_in: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Dataset, "most", 7)
    assert export(embedded) == 2
    assert "data set 'mine' is not made: the disk is full" in capsys.readouterr().err and not Dataset.made

    def refused(name: str) -> bool:
        raise ConnectionError("no answer")

    stand_in.dataset_exists = refused
    assert export(embedded) == 2
    assert "FiftyOne's database does not answer: no answer" in capsys.readouterr().err


def test_without_fiftyone(
    embedded: Folder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "fiftyone", None)
    assert export(embedded) == 2
    assert "Run `pip install 'specvid[fiftyone]'`" in capsys.readouterr().err
    assert export(embedded, "--out", "somewhere") == 2
    assert "leave out --out" in capsys.readouterr().err


def test_field_names_are_none_of_fiftyones_and_none_twice() -> None:
    columns = ["id", "path", "a.b", "a b", "_x", "$", "tags", "3d", "input_id", "ñ"]
    fields = field_names(columns)
    assert "path" not in fields and fields["id"] == "input_id" and fields["ñ"] == "ñ"
    assert fields["a.b"] == "a_b" and fields["a b"] == "a_b_" and fields["3d"] == "column_3d" and fields["_x"] == "x"
    assert fields["$"] == "column" and fields["tags"] == "column_tags" and fields["input_id"] == "input_id_"
