"""Decoders that kill their process cost one file, in every verb; and no process outlives the one that started it."""

import contextlib
import faulthandler
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from synthetic_videos import write_numbered
from tiny_reid import synthesize_tiny_mars
from tiny_reid import train as train_reid
from tiny_ucf101 import synthesize_tiny_ucf101
from torch.utils.data import DataLoader, Dataset
from torch.utils.data._utils import signal_handling
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from specvid import cli
from specvid.datasets.clips import tracklets, videos
from specvid.datasets.clips.guard import ReadingGuard
from specvid.errors import VideoError
from specvid.models import create_model
from specvid.pipelines.engine import loading

CLIP = "--frames 4 --stride 1 --size 16 --resize 20 --batch-size 6 --device cpu --no-tensorboard"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize_tiny_ucf101(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a file that kills every process that opens it, but this one."""
    name, here, real = "v_Red_g01_c01.avi", os.getpid(), videos.open_clips

    def open_clips(path: object, *args: object, **options: object) -> object:
        if str(path).endswith(name):
            assert os.getpid() != here
            _crash()
        return real(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(videos, "open_clips", open_clips)
    # torch looks every five seconds whether its processes are alive
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.5,))
    return name


def test_a_training_and_its_score_go_on(data: Path, deadly: str, tmp_path: Path, capsys) -> None:
    words = ["--data", str(data), "--runs", str(tmp_path), "--name", "a", "--model", "r3d_tiny", *CLIP.split()]
    assert cli.run(["train", "action", *words, "--epochs", "2", "--workers", "2"]) == 0
    message = capsys.readouterr()
    assert f"{deadly}: its decoder kills its process (SIGSEGV), 2 times" in (message.out + message.err).replace(
        "\n", " "
    )
    lines = [json.loads(line) for line in (tmp_path / "a/metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 2
    assert cli.run(["eval", "action", "--run", str(tmp_path / "a"), "--device", "cpu", "--workers", "2"]) == 0
    shutil.rmtree(tmp_path / "a")
    # The same numbers as those of a training in which the file cannot be read at all.
    assert cli.run(["train", "action", *words, "--epochs", "2", "--workers", "1"]) == 0
    again = [json.loads(line) for line in (tmp_path / "a/metrics.jsonl").read_text().splitlines()]
    assert again == lines


def _crash() -> None:
    """Die as a decoder does, without a report of pytest's that looks like its own end."""
    faulthandler.disable()
    os.kill(os.getpid(), signal.SIGSEGV)


class HangsUp:
    """A loader whose process ends half a second after its pipe."""

    num_workers, persistent_workers = 1, False

    def __init__(self) -> None:
        self._workers = [multiprocessing.get_context("fork").Process(target=_die_later)]
        self._workers[0].start()

    def __iter__(self) -> "HangsUp":
        return self

    def __next__(self) -> int:
        raise EOFError


def _die_later() -> None:
    time.sleep(0.5)
    _crash()


def test_a_pipe_ends_before_its_process_does() -> None:
    accused: list[dict[int, str]] = []
    guard: Any = SimpleNamespace(
        share=lambda: None, lost=[], reading_longer_than=lambda _: [], accuse=lambda gone: not accused.append(gone)
    )
    found = loading.load(lambda done, new: DataLoader([7]) if new else HangsUp(), guard)  # type: ignore[arg-type, return-value]
    assert [int(item) for item in found] == [7]
    assert accused == [{0: "kills its process (SIGSEGV)"}]


class Deadly(Dataset[int]):
    """Items of which the first kills its process."""

    def __getitem__(self, number: int) -> int:
        if number == 0:
            _crash()
        return number

    def __len__(self) -> int:
        return 4


@pytest.mark.parametrize("before", [False, True])
def test_a_death_does_not_interrupt_the_main_process(before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", False)
    handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        if before:
            list(DataLoader(range(2), num_workers=1))  # type: ignore[arg-type]  # sets torch's handler, which raises
        items = loading._start(DataLoader(Deadly(), num_workers=1, batch_size=None))
        time.sleep(1)  # as in a forward pass, while the process dies
        with pytest.raises(RuntimeError, match="DataLoader worker"):
            next(items)
    finally:
        signal.signal(signal.SIGCHLD, handler)


def test_a_prediction_goes_on(data: Path, deadly: str, tmp_path: Path, capsys) -> None:
    create_model("r3d_tiny", num_classes=3, input={"frames": 4, "size": 16}).save_pretrained(tmp_path / "m")
    files = sorted(map(str, (data / "videos/Red").iterdir()))[:4]
    words = ["predict", *files, "--model", str(tmp_path / "m"), "--clips", "1", "--device", "cpu", "--workers", "2"]
    assert cli.run([*words, "--json"]) == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["path"] for line in found] == files
    assert [deadly in line["path"] for line in found] == [bool(line["error"]) for line in found]
    assert "its decoder kills its process (SIGSEGV)" in found[0]["error"]


def test_a_file_that_hangs_is_given_up(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    name, real = "v_Red_g01_c01.avi", videos.open_clips

    def open_clips(path: object, *args: object, **options: object) -> object:
        if str(path).endswith(name):
            time.sleep(600)
        return real(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(videos, "open_clips", open_clips)
    monkeypatch.setattr(loading, "TIMEOUT", 2.0)
    monkeypatch.setattr(loading, "_LOOK_EVERY", 0.2)
    create_model("r3d_tiny", num_classes=3, input={"frames": 4, "size": 16}).save_pretrained(tmp_path / "m")
    files = sorted(map(str, (data / "videos/Red").iterdir()))[:3]
    words = ["predict", *files, "--model", str(tmp_path / "m"), "--clips", "1", "--device", "cpu", "--workers", "1"]
    assert cli.run([*words, "--json"]) == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [bool(line["error"]) for line in found] == [True, False, False]
    assert found[0]["error"].startswith("its decoder hangs, 2 times")


def test_tracklets_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    data, here, real = synthesize_tiny_mars(tmp_path / "mars"), os.getpid(), tracklets.read_frames
    deadly = min((data / "bbox_test").rglob("*.jpg")).name[:11]

    def read_frames(tracklet: tracklets.Tracklet, indices: object) -> object:
        if Path(tracklet.path(0)).name.startswith(deadly) and os.getpid() != here:
            os._exit(11)
        return real(tracklet, indices)  # type: ignore[arg-type]

    monkeypatch.setattr(tracklets, "read_frames", read_frames)
    assert train_reid(data, tmp_path / "runs", "--name a --epochs 1 --workers 2") in (0, 1)
    message = capsys.readouterr()
    assert "its decoder kills its process (exit code 11), 2 times" in (message.out + message.err).replace("\n", " ")


def test_anything_that_a_decoder_raises_is_the_files_error() -> None:
    guard = ReadingGuard()
    for error, message in ((MemoryError("x"), "MemoryError: x"), (ValueError("a\nb"), "a b")):
        with pytest.raises(VideoError, match=f"^f.avi: {message}$"), guard.reading(3, "f.avi"):
            raise error
    assert not guard.accuse({0: "dies"})  # nobody was reading


def children(parent: int) -> set[int]:
    """All descendants of a process."""
    found: set[int] = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found |= {int(stat.parent.name)} | children(int(stat.parent.name))
    return found


def running(process: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    ("verb", "number"),
    [
        ("train", signal.SIGKILL),
        ("predict", signal.SIGKILL),
        ("embed", signal.SIGKILL),
        ("embed", signal.SIGTERM),
        ("data check", signal.SIGKILL),
        ("data check", signal.SIGTERM),
        ("data shrink", signal.SIGKILL),
        ("data shrink", signal.SIGTERM),
    ],
)
def test_no_process_outlives_the_main_one(verb: str, number: int, data: Path, tmp_path: Path) -> None:
    """Killed while it decodes, with two processes: five seconds later none is left."""
    many = tmp_path / "many"
    shutil.copytree(data, many)
    source = next((many / "videos/Red").iterdir())
    copies = [shutil.copy(source, many / f"copy{copy}.avi") for copy in range(300)]
    create_model("r3d_tiny", num_classes=3, input={"frames": 4, "size": 16}).save_pretrained(tmp_path / "m")
    model, here = ["--model", str(tmp_path / "m")], ["--device", "cpu", "--workers", "2"]
    run = f"--data {many} --runs {tmp_path} --name a --model r3d_tiny {CLIP} --workers 2 --epochs 9999"
    out = ["--out", str(tmp_path / "out"), "--window", "sliding", "--every", "1"]
    words = {
        "train": ["train", "action", *run.split()],
        "predict": ["predict", *copies * 20, *model, *here],
        "embed": ["embed", *copies, *model, *here, *out],
        "data check": ["data", "check", "ucf101", str(many), "--workers", "2"],
        "data shrink": ["data", "shrink", str(many / "videos"), str(tmp_path / "small"), "--workers", "2"],
    }[verb]
    if verb in ("data check", "data shrink"):  # videos that take seconds
        long = write_numbered(tmp_path, "plain.avi", 4000)
        for path in (many / "videos").rglob("*.avi"):
            shutil.copy(long, path)
    process = subprocess.Popen(
        [sys.executable, "-m", "specvid", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 120
    while len(own := children(process.pid)) < 2:
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.02)
    time.sleep(0.3)
    own |= children(process.pid)
    signalled = time.monotonic()
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (-number, 128 + number), err
    ended = time.monotonic()
    assert ended - signalled < 20  # what was still to be done is not done first
    while any(map(running, own)):
        assert time.monotonic() < ended + 5, [pid for pid in own if running(pid)]
        time.sleep(0.05)


def test_a_half_made_iterator_goes_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    """A signal may come while torch makes one."""
    import gc

    from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

    from specvid.pipelines.engine.loading import load

    list(load(lambda done, anew: DataLoader([1, 2]), ReadingGuard()))
    half = _MultiProcessingDataLoaderIter.__new__(_MultiProcessingDataLoaderIter)
    half._shutdown, half._workers = False, [None]
    del half
    gc.collect()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("error", [EOFError(), ConnectionRefusedError(111, "refused"), FileNotFoundError(2, "socket")])
def test_a_process_that_ends_while_it_hands_over_a_batch(error: Exception) -> None:
    """SIGTERM to all processes: the main one, which goes on to the end of its step, finds a pipe that ends."""

    class Loader:
        num_workers, persistent_workers = 1, False

        def __iter__(self):
            yield 1
            raise error

    items = loading.load(lambda done, anew: Loader(), ReadingGuard())
    assert next(items) == 1
    with pytest.raises(RuntimeError, match=r"^DataLoader worker ended while it handed over a batch"):
        next(items)


def test_what_a_process_does_first_imports_nothing_that_takes_long() -> None:
    """Else one that is spawned outlives a main process that is killed meanwhile, by the seconds of PyTorch's import."""
    code = "import sys, specvid.pipelines.engine.workers; assert not {'torch', 'numpy', 'av'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)
