"""The sweep of damaged and unusual videos through every verb that takes videos, each with a watchdog.

    python -m specvid.tools.faults.media CLIP [CLIP ...] [--out DIR]

Prints the table that stands in ``docs/testing.md``, and names what must not be: a verb that hangs, dies or ends in a
traceback; a file that is neither read nor named; one without loss that a verb does not read; one that nothing decodes
and that a verb reads; `predict` and `eval action` at odds over the same clips.
"""

import argparse
import csv
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from specvid.text import to_markdown
from specvid.tools.data.sweep import Outcome, sweep
from specvid.tools.data.variants import Variant, make_variants

PATIENCE = 900.0
"""Seconds after which a verb hangs."""
_CLIPS = "--frames 4 --stride 1 --size 32 --resize 36 --device cpu --workers 1"
_STAND_IN = re.compile(r"another training clip stands in for it: (.+?\.\w+): ")


@dataclass
class Passage:
    """What became of all files in one verb.

    Attributes:
        verb: its name.
        read: names of the files that it read.
        refused: of those that it named instead.
        seconds: that it took.
        faults: what must not be.
    """

    verb: str
    read: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def pass_through(files: Sequence[Path], whole: Path, folder: Path, *, patience: float = PATIENCE) -> list[Passage]:
    """Run every verb over the files.

    Args:
        files: the videos, all in one folder.
        whole: a video that can be read.
        folder: where to work.
        patience: seconds for each verb.

    Returns:
        What became of them in each: of a training, the files that it met; of ``data check`` and ``data shrink``,
        which name the first ones only, the faults.
    """
    videos, run, out = files[0].parent, folder / "runs" / "a", folder / "embeddings"
    training = _write_table(folder / "train.csv", {"train": files, "test": [whole]})
    testing = _write_table(folder / "test.csv", {"test": files, "train": [whole]})
    batch = max(size for size in range(1, 17) if len(files) % size == 0)  # so that every file is met
    train = f"train action --data {training} --dataset table --model r3d_tiny --epochs 1 --batch-size {batch}"
    names = {path.name for path in files}
    commands: dict[str, tuple[str, Callable[[str], tuple[set[str], set[str]]]]] = {
        "train action": (
            f"{train} --runs {run.parent} --name a --no-tensorboard {_CLIPS}",
            lambda said: _trained(said, names),
        ),
        "eval action": (
            f"eval action --run {run} --data {testing} --clips 1 --workers 1",
            lambda said: _scored(run / "eval" / "split1-last-1x1" / "clips.csv"),
        ),
        "predict": (f"predict {' '.join(map(str, files))} --run {run} --clips 1 --workers 1 --json", _predicted),
        "embed": (f"embed {videos} --model r3d_tiny --out {out} {_CLIPS}", lambda said: _embedded(out, names)),
        "data check": (f"data check table {testing} --workers 1", lambda said: (set(), set())),
        "data shrink": (
            f"data shrink {videos} {folder / 'shrunk'} --short-side 32 --workers 1",
            lambda said: (set(), set()),
        ),
    }
    return [_pass(verb, words.split(), find, patience) for verb, (words, find) in commands.items()]


def hold_against(passages: Sequence[Passage], files: Sequence[Path], outcomes: Sequence[Outcome]) -> None:
    """Add to the faults of each passage what does not fit what the decoders found.

    Args:
        passages: of `pass_through`.
        files: the videos.
        outcomes: of `sweep` over them.
    """
    sound = {
        f.name for f, o in zip(files, outcomes, strict=True) if not o.error and "cannot be decoded" not in o.warning
    }
    hopeless = {f.name for f, o in zip(files, outcomes, strict=True) if o.error and not o.share}
    for passage in passages:
        if not passage.read | passage.refused:
            continue
        checks: dict[str, set[str]] = {
            "refused, though no frame of it is lost": passage.refused & sound,
            "read, though nothing of it decodes": passage.read & hopeless,
            "both read and named": passage.read & passage.refused,
        }
        checks["neither read nor named"] = {path.name for path in files} - passage.read - passage.refused
        passage.faults += [f"{what}: {name}" for what, found in checks.items() for name in sorted(found)]
    verbs = {passage.verb: passage for passage in passages}
    odd = verbs["predict"].refused ^ verbs["eval action"].refused
    verbs["predict"].faults += [f"at odds with eval action: {name}" for name in sorted(odd)]


def as_table(passages: Sequence[Passage]) -> str:
    """The counts per verb.

    Args:
        passages: of `pass_through`.

    Returns:
        A table in Markdown.
    """
    rows = [["verb", "read", "named", "time", "faults"]]
    for one in passages:
        counts = [str(len(one.read)), str(len(one.refused))] if one.read | one.refused else ["-", "-"]
        rows.append([one.verb, *counts, f"{one.seconds:.0f} s", str(len(one.faults))])
    return to_markdown(rows)


def _pass(verb: str, words: list[str], find: Callable[[str], tuple[set[str], set[str]]], patience: float) -> Passage:
    """Run one verb."""
    passage, begun = Passage(verb), time.monotonic()
    command = [sys.executable, "-m", "specvid", *words]
    try:
        done = subprocess.run(command, capture_output=True, timeout=patience, check=False)
    except subprocess.TimeoutExpired:
        passage.faults.append(f"hangs: it took longer than {patience:.0f} s")
        return passage
    passage.seconds = time.monotonic() - begun
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    if done.returncode not in (0, 1) or "Traceback" in said:
        passage.faults.append(f"exit code {done.returncode}: {said[-2000:]}")
    else:
        passage.read, passage.refused = find(said)
    return passage


def _write_table(path: Path, sets: dict[str, Sequence[Path]]) -> Path:
    """List files for ``--dataset table``, of two classes in turn."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "set"])
        for name, files in sets.items():
            rows.writerows([str(one), "ab"[number % 2], name] for number, one in enumerate(files))
    return path


def _trained(said: str, names: set[str]) -> tuple[set[str], set[str]]:
    """What a training read, and what it named."""
    refused = {Path(path).name for path in _STAND_IN.findall(said)}
    return names - refused, refused


def _scored(path: Path) -> tuple[set[str], set[str]]:
    """What an evaluation read, and what it named."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return _parted({Path(row["clip"]).name: row["error"] for row in rows})


def _predicted(said: str) -> tuple[set[str], set[str]]:
    """What a prediction read, and what it named."""
    rows = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return _parted({Path(row["path"]).name: row["error"] for row in rows})


def _embedded(out: Path, names: set[str]) -> tuple[set[str], set[str]]:
    """What an embedding read, and what it named, of some files of its folder."""
    from pyarrow import parquet

    read = {Path(path).name for path in parquet.read_table(out / "embeddings")["path"].to_pylist()}
    refused = {Path(path).name for path in parquet.read_table(out / "errors.parquet")["path"].to_pylist()}
    return read & names, refused & names


def _parted(errors: dict[str, str]) -> tuple[set[str], set[str]]:
    """The files without and with an error."""
    return {name for name, error in errors.items() if not error}, {name for name, error in errors.items() if error}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: its words; those of the process if None.

    Returns:
        The exit code; 1 where there was a fault.
    """
    about = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m specvid.tools.faults.media", description=about)
    parser.add_argument("clips", nargs="+", type=Path, help="real videos that the variants are made from")
    parser.add_argument("--out", type=Path, help="folder to work in; a temporary one if not given")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.out or Path(temporary)).resolve()
        variants: list[Variant] = make_variants(options.clips, folder / "videos")
        files = [variant.path for variant in variants]
        passages = pass_through(files, options.clips[0].resolve(), folder)
        hold_against(passages, files, sweep(variants))
    print(as_table(passages))
    for passage in passages:
        for fault in passage.faults:
            print(f"fault: {passage.verb}: {fault}")
    return int(any(passage.faults for passage in passages))


if __name__ == "__main__":
    raise SystemExit(main())
