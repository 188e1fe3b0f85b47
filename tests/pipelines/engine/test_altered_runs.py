"""Runs that were altered or damaged, and a disk that is full: one line each, never a traceback."""

import json
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checksums import sha256
from tiny_ucf101 import synthesize_tiny_ucf101

from specvid import cli

CLIP = "--frames 4 --stride 1 --size 16 --resize 20 --batch-size 6 --workers 0 --device cpu --no-tensorboard"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/ and runs/a, one of two epochs done."""
    root = tmp_path_factory.mktemp("sound")
    synthesize_tiny_ucf101(root / "data", groups=4, clips=1)
    assert cli.run([*words(root, root), "--max-steps", "1"]) == 0
    return root


def words(data: Path, root: Path) -> list[str]:
    own = ["--data", str(data / "data"), "--runs", str(root / "runs"), "--name", "a", "--model", "r3d_tiny"]
    return ["train", "action", *own, *CLIP.split(), "--epochs", "2"]


def write(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda run: (run / name).write_bytes(data)


def meta(**changes: Any) -> Callable[[Path], object]:
    def alter(run: Path) -> None:
        path = run / "last/meta.json"
        content = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return alter


def model(**changes: Any) -> Callable[[Path], object]:
    def alter(run: Path) -> None:
        content = json.loads((run / "last/meta.json").read_text())
        meta(model=content["model"] | changes)(run)

    return alter


def state(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def alter(run: Path) -> None:
        content = torch.load(run / "last/training.pt", weights_only=True)
        change(content)
        torch.save(content, run / "last/training.pt")

    return alter


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("import os; os.mkdir('sprung')",)


def pickled(run: Path) -> None:
    torch.save({"step": Trap()}, run / "last/training.pt")


RESUMED: dict[str, Callable[[Path], object]] = {
    "a pickle": pickled,
    "text": write("last/training.pt", b"hello"),
    "empty": write("last/training.pt", b""),
    "a list": lambda run: torch.save([1, 2], run / "last/training.pt"),
    "no step": state(lambda content: content.pop("step")),
    "no optimizer": state(lambda content: content.update(optimizer={})),
    "optimizer of text": state(lambda content: content.update(optimizer="sgd")),
    "step of text": state(lambda content: content.update(step="many")),
    "no generators": state(lambda content: content.update(generators=[3])),
    "schedule of a list": state(lambda content: content.update(schedule=[1])),
    "optimizer of tensors without numbers": state(
        lambda content: content["optimizer"].update(state={0: {"momentum_buffer": torch.zeros(3, device="meta")}})
    ),
    "weights of text": write("last/model.safetensors", b"hello"),
    "config of bytes": write("config.json", b"\xff\xfe"),
    "config deep": write("config.json", b'{"a":' * 100_000),
    "config list": write("config.json", b"[]"),
}
CLIP_OF: dict[str, Any] = {"frames": 4, "stride": 1, "size": 16, "resize": 20}
PREDICTED: dict[str, Callable[[Path], object]] = {
    "meta list": write("last/meta.json", b"[]"),
    "meta deep": write("last/meta.json", b'{"a":' * 100_000),
    "meta digits": write("last/meta.json", b'{"a": ' + b"9" * 5000 + b"}"),
    "no model": meta(model=None),
    "model is text": meta(model="r3d_tiny"),
    "model without name": meta(model={"blocks": ""}),
    "other option": model(depth=50),
    "too few classes": meta(classes=["a"]),
    "classes is a number": meta(classes=3),
    "many logits": model(num_classes=10**12),
    "negative logits": model(num_classes=-1),
    "logits of text": model(num_classes="three"),
    "huge clip": model(input={"frames": 10**15}),
    "long clip": meta(input=CLIP_OF | {"frames": 10**7}),
    "means of text": meta(input=CLIP_OF | {"mean": ["a", "b", "c"]}),
    "deviation is no number": meta(input=CLIP_OF | {"std": [float("nan")] * 3}),
    "deviation of a model is no number": model(input={"std": [0.0, 1.0, float("nan")]}),
    "size of fractions": meta(input=CLIP_OF | {"size": [16.5, 16]}),
    "input is a list": meta(input=[1]),
    "other field of the input": meta(input=CLIP_OF | {"speed": 2}),
    "many blocks": model(blocks="snl@layer2.-1," * 20_000),
    "blocks spread": model(blocks="snl@layer2:1000000000"),
    "blocks by digits": model(blocks="snl@layer2:" + "9" * 5000),
    "blocks in blocks": model(blocks=", ".join(["i3d_nln"] * 100)),
    "wide blocks": model(blocks="snl(transfer_ratio=0.00001)@layer2.-1"),
    "long name": model(name="r3d_tiny(width=" + "9" * 200_000 + ")"),
    "kernels of thousands of frames": model(name="inflated:resnet50(time=9999)"),
    "another network": model(name="resnet152", blocks=", ".join(["nl@layer3.-1"] * 100)),
    "weights asked for": model(weights="DEFAULT"),
    "buffers of nothing": meta(buffers={"centres": [10**9, 10**9]}),
    "buffers is a list": meta(buffers=[1]),
    "sampling": meta(data={"sampling": "all"}),
    "data is a list": meta(data=[1]),
    "weights cut": lambda run: write("last/model.safetensors", (run / "last/model.safetensors").read_bytes()[:999])(
        run
    ),
    "weights of text": write("last/model.safetensors", b"hello"),
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_training_does_not_go_on(name: str, sound: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(sound, tmp_path / "it")
    RESUMED[name](tmp_path / "it/runs/a")
    capsys.readouterr()
    assert cli.run([*words(sound, tmp_path / "it"), "--resume", "auto"]) == 2
    message = [line for line in capsys.readouterr().err.splitlines() if line.startswith("specvid: ")]
    assert len(message) == 1 and "runs/a" in message[0] and "other settings" not in message[0]
    assert not Path("sprung").exists()


@pytest.mark.parametrize("name", PREDICTED)
def test_nothing_is_predicted(name: str, sound: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(sound / "runs", tmp_path / "runs")
    PREDICTED[name](tmp_path / "runs/a")
    capsys.readouterr()
    video = str(next((sound / "data/videos/Red").iterdir()))
    assert cli.run(["predict", video, "--run", str(tmp_path / "runs/a"), "--device", "cpu", "--workers", "0"]) == 2
    message = capsys.readouterr().err.splitlines()
    assert len(message) == 1 and message[0].startswith("specvid: "), message


def test_a_full_disk_ends_a_training_in_one_line(sound: Path, tmp_path: Path, capsys) -> None:
    """A limit on the size of files, which the system itself enforces; with room again it goes on."""
    shutil.copytree(sound, tmp_path / "it")
    weights = tmp_path / "it/runs/a/last/model.safetensors"
    before, size = sha256(weights), weights.stat().st_size
    limit, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    capsys.readouterr()
    for most in (20_000, size + 5_000):  # of the weights, of the state of the training
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, limit[1]))
        try:
            assert cli.run([*words(sound, tmp_path / "it"), "--resume", "auto"]) == 2
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        message = capsys.readouterr().err.splitlines()[-1]
        assert (
            message.startswith("specvid: ")
            and "last cannot be written: the " in message  # torch does not say why
            and "--resume auto continues" in message
        )
        assert sha256(weights) == before
    signal.signal(signal.SIGXFSZ, handler)
    assert cli.run([*words(sound, tmp_path / "it"), "--resume", "auto"]) == 0
    assert not [path for path in (tmp_path / "it/runs/a").iterdir() if path.name.startswith(".")]
