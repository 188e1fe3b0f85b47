"""A pipe or device where a file of a folder should be: named in a sentence, and nobody waits for it."""

import faulthandler
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from synthetic_videos import write_numbered
from tiny_motion import synthesize_tiny_motion

from specvid import cli

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")

_TRAIN = (
    "train action --dataset folders --model r3d_tiny --epochs 1 --limit 4 --frames 4 --size 16 --workers 0 "
    "--device cpu --no-tensorboard"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run ``runs/one`` and embeddings ``emb``, with an index."""
    folder = tmp_path_factory.mktemp("plain")
    data = synthesize_tiny_motion(folder / "data", train=2, test=1)
    assert cli.run([*_TRAIN.split(), "--data", str(data), "--runs", str(folder / "runs"), "--name", "one"]) == 0
    video = str(write_numbered(folder, count=20))
    words = ["embed", video, "--run", str(folder / "runs/one"), "--out", str(folder / "emb"), "--workers", "0"]
    assert cli.run([*words, "--device", "cpu"]) == 0
    assert cli.run(["search", "build", str(folder / "emb")]) == 0
    return folder


@pytest.fixture
def pipe() -> Iterator:
    """Puts a pipe in the place of a file, which it gives back at the end."""
    moved: list[tuple[Path, Path]] = []

    def put(path: Path) -> None:
        beside = path.with_name("kept")
        if path.exists():
            path.rename(beside)
        moved.append((beside, path))
        os.mkfifo(path)

    yield put
    for beside, path in moved:
        path.unlink()
        if beside.exists():
            beside.rename(path)


@pytest.fixture
def said(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator:
    """What a command line that fails says; one that waits ends the tests."""
    monkeypatch.chdir(folder)
    faulthandler.dump_traceback_later(120, exit=True, file=sys.__stderr__)

    def run(words: str) -> str:
        capsys.readouterr()
        assert cli.run(words.split())
        return capsys.readouterr().err

    yield run
    faulthandler.cancel_dump_traceback_later()


_RUN = {
    "eval": "eval action --run runs/one --workers 0 --device cpu",
    "predict": "predict plain.avi --run runs/one --device cpu",
    "export": "export runs/one --out one.onnx",
    "resume": f"{_TRAIN} --data data --runs runs --name one --resume auto",
}


@pytest.mark.parametrize("verb", _RUN)
@pytest.mark.parametrize("file", ["last/model.safetensors", "last/training.pt", "log.txt", "metrics.jsonl"])
def test_of_a_run(verb: str, file: str, folder: Path, pipe, said) -> None:
    pipe(folder / "runs/one" / file)
    text = said(_RUN[verb])
    assert file in text and "no plain file" in text


def test_of_a_run_in_a_report(folder: Path, pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other runs are shown; the page says what is missing of this one."""
    monkeypatch.chdir(folder)
    pipe(folder / "runs/one/last/model.safetensors")
    assert cli.run(["report", "runs/one", "--html", "one.html"]) == 0
    assert "no plain file" in (folder / "one.html").read_text()


@pytest.mark.parametrize("file", ["embeddings/part-00000.parquet", "deleted.parquet", "inputs.parquet", "map"])
@pytest.mark.parametrize(
    "words", ["search duplicates emb", "search build emb", "embed plain.avi --run runs/one --out emb --device cpu"]
)
def test_of_embeddings(words: str, file: str, folder: Path, pipe, said) -> None:
    pipe(folder / "emb" / file)
    text = said(words)
    assert file in text and "no plain file" in text


@pytest.mark.parametrize(
    "words",
    [
        "predict plain.avi --model r3d_tiny --weights pipe.safetensors --classes 4",
        "predict plain.avi --model r3d_tiny --weights pipe.pt --classes 4",
        "data check table pipe.parquet",
        "eval reid --features pipe.parquet",
        "eval reid --features pipe.npz",
        "data check folders data --groups pipe.csv",
    ],
)
def test_that_the_command_names(words: str, folder: Path, pipe, said) -> None:
    file = next(word for word in words.split() if "pipe" in word)
    pipe(folder / file)
    assert file in said(words)


def test_of_a_table(folder: Path, pipe) -> None:
    from specvid.datasets.layouts.tables import read_table

    pipe(folder / "table.parquet")
    with pytest.raises(ValueError, match=r"table.parquet.*no plain file"):
        read_table(folder / "table.parquet", ("path",), ())
