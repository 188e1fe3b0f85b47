"""What is killed: verbs at work on small synthetic data, each with what it starts from."""

import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from specvid.files import write_json

Words = list[str]
Verbs = Callable[[Words], object]

_ACTION = (
    "--model r3d_tiny --frames 4 --stride 1 --size 16 --resize 20 --batch-size 4 --lr 0.01 --device cpu "
    "--blocks snl@layer2.-1"
)
_REID = (
    "--model r3d_tiny --frames 4 --height 24 --width 10 --identities 2 --tracklets 2 --batch-size 4 --repeats 1 "
    "--device cpu --triplet 1 --neck bnneck"
)


@dataclass(frozen=True)
class Scenario:
    """A command that is killed and started again.

    Args:
        words: the command, given the folder of inputs and the folder of what it writes.
        inputs: makes what it reads: gets the folder, and a function that runs a verb to its end.
        start: name in the inputs of the folder that its output starts as; an empty one if not given.
        grows: its files change as it goes on; those of others are, at any moment, not there, the old or the new ones.
        reader: a command that must read the output at any moment.
    """

    words: Callable[[Path, Path], Words]
    inputs: Callable[[Path, Verbs], None]
    start: str = ""
    grows: bool = False
    reader: Callable[[Path, Path], Words] | None = None


def _clips(folder: Path, run: Verbs) -> None:
    run(["data", "synthesize", "folders", str(folder / "clips"), "--scenes", "4"])


def _walkers(folder: Path, run: Verbs) -> None:
    run(["data", "synthesize", "mars", str(folder / "mars"), "--identities", "4", "--tracklets", "4"])


def _archives(folder: Path, run: Verbs) -> None:
    """MARS as it is distributed."""
    _walkers(folder, run)
    (folder / "archives").mkdir()
    for name, archive in (("bbox_train", "bbox_train"), ("bbox_test", "bbox_test"), ("info", "MARS-evaluation-master")):
        with zipfile.ZipFile(folder / "archives" / f"{archive}.zip", "w") as content:
            for file in sorted((folder / "mars" / name).rglob("*.*")):
                content.write(file, f"{name}/{file.relative_to(folder / 'mars' / name)}")
    shutil.rmtree(folder / "mars")


def _action_run(folder: Path, run: Verbs) -> None:
    _clips(folder, run)
    run([*_train_action(folder, folder / "start"), "--no-tensorboard"])


def _reid_run(folder: Path, run: Verbs) -> None:
    _walkers(folder, run)
    run([*_train_reid(folder, folder / "start"), "--no-tensorboard"])


def _results(folder: Path, run: Verbs) -> None:
    """What three runs found."""
    for seed in range(3):
        config = {"net": {"model": "r3d_tiny", "blocks": ""}, "train": {"seed": seed}}
        entry = {
            "dataset": "UCF-101",
            "split": 1,
            "checkpoint": "last",
            "clips": 1,
            "crops": 1,
            "top1": 0.5 + seed / 10,
        }
        write_json(folder / f"runs/{seed}/results.json", {"run": str(seed), "config": config, "evaluations": [entry]})


def _embeddings(folder: Path, run: Verbs) -> None:
    _clips(folder, run)
    run(_embed(folder, folder / "start"))


def _index(folder: Path, run: Verbs) -> None:
    _embeddings(folder, run)
    run(["search", "build", str(folder / "start")])


def _half(folder: Path, run: Verbs) -> None:
    """Embeddings of every second clip, with an index."""
    _clips(folder, run)
    words = _embed(folder, folder / "start")
    run([words[0], *map(str, _videos(folder)[::2]), *words[2:]])
    run(["search", "build", str(folder / "start")])


def _videos(inputs: Path) -> list[Path]:
    return sorted(path for path in (inputs / "clips").rglob("*.*") if path.suffix != ".json")


def _query(inputs: Path, out: Path) -> Words:
    return ["search", "query", str(out), str(_videos(inputs)[0]), "--device", "cpu"]


def _append(inputs: Path, out: Path) -> Words:
    words = _embed(inputs, out)
    return [words[0], *map(str, _videos(inputs)[1::2]), *words[2:], "--append"]


def _delete(inputs: Path, out: Path) -> Words:
    """Every third clip, but the first, which the reader asks for."""
    return ["embed", "delete", str(out), *map(str, _videos(inputs)[1::3])]


def _train_action(inputs: Path, out: Path) -> Words:
    data = ["--data", str(inputs / "clips"), "--dataset", "folders"]
    run = [
        "--runs",
        str(out),
        "--name",
        "a",
        "--resume",
        "auto",
        "--epochs",
        "3",
        "--save-every",
        "2",
        "--workers",
        "1",
    ]
    return ["train", "action", *data, *_ACTION.split(), *run]


def _train_reid(inputs: Path, out: Path) -> Words:
    run = [
        "--runs",
        str(out),
        "--name",
        "a",
        "--resume",
        "auto",
        "--epochs",
        "3",
        "--save-every",
        "1",
        "--workers",
        "1",
    ]
    return ["train", "reid", "--data", str(inputs / "mars"), *_REID.split(), *run]


def _pretrain(inputs: Path, out: Path) -> Words:
    data = ["--data", str(inputs / "clips"), "--projector", "8", "8"]
    run = ["--runs", str(out), "--name", "a", "--resume", "auto", "--epochs", "3", "--save-every", "2"]
    network = [word for word in _ACTION.split() if word not in ("--resize", "20")]
    return ["train", "pretrain", *data, *network, *run, "--workers", "1"]


def _embed(inputs: Path, out: Path) -> Words:
    network = ["--model", "r3d_tiny", "--frames", "4", "--size", "16", "--device", "cpu", "--batch-size", "2"]
    windows = ["--window", "sliding", "--length", "4", "--every", "4", "--workers", "1", "--shard-size", "3", "--npz"]
    return ["embed", str(inputs / "clips"), *network, *windows, "--out", str(out)]


def _features(folder: Path, run: Verbs) -> None:
    """Features of a gallery."""
    rng = np.random.default_rng(0)
    ids, cameras = np.arange(40) // 4, np.arange(40) % 4
    features = rng.standard_normal((40, 8))
    sides = {"query": features, "query_ids": ids, "query_cams": cameras, "gallery": features}
    np.savez(folder / "features.npz", **sides, gallery_ids=ids, gallery_cams=cameras)  # type: ignore[arg-type]


SCENARIOS: dict[str, Scenario] = {
    "train action": Scenario(_train_action, _clips, grows=True),
    "train reid": Scenario(_train_reid, _walkers, grows=True),
    "train pretrain": Scenario(_pretrain, _clips, grows=True),
    "embed": Scenario(_embed, _clips),
    "embed --append": Scenario(_append, _half, start="start"),
    "embed delete": Scenario(_delete, _index, start="start", reader=_query),
    "search build": Scenario(
        lambda inputs, out: ["search", "build", str(out), "--index", "hnsw"], _index, start="start", reader=_query
    ),
    "export": Scenario(
        lambda inputs, out: ["export", str(inputs / "start/a"), "--to", "torch-export", "--out", str(out / "a.pt2")],
        _action_run,
    ),
    "data prepare": Scenario(
        lambda inputs, out: ["data", "prepare", "mars", str(inputs / "archives"), "--out", str(out)], _archives
    ),
    "data shrink": Scenario(
        lambda inputs, out: ["data", "shrink", str(inputs / "clips"), str(out), "--short-side", "16", "--workers", "2"],
        _clips,
    ),
    "report": Scenario(
        lambda inputs, out: ["report", str(inputs / "start"), "--markdown", "--out", str(out / "table.md")], _action_run
    ),
    "eval action": Scenario(
        lambda inputs, out: ["eval", "action", "--run", str(out / "a"), "--clips", "2", "--device", "cpu"],
        _action_run,
        start="start",
    ),
    "eval reid": Scenario(
        lambda inputs, out: ["eval", "reid", "--run", str(out / "a"), "--test-sampling", "first", "--device", "cpu"],
        _reid_run,
        start="start",
    ),
    "eval features": Scenario(
        lambda inputs, out: [
            *["eval", "reid", "--features", str(inputs / "features.npz"), "--protocol", "cross-camera"],
            *["--out", str(out / "scores")],
        ],
        _features,
    ),
    "search query": Scenario(
        lambda inputs, out: [*_query(inputs, inputs / "start"), "--html", str(out / "page.html")], _embeddings
    ),
    "data synthesize": Scenario(
        lambda inputs, out: ["data", "synthesize", "ucf101", str(out / "set"), "--scenes", "1"],
        lambda folder, run: None,
    ),
}
"""By the names of their verbs."""
