"""Kill verbs at random moments of their work, start them again, and hold what they wrote against what nobody killed.

    python -m specvid.tools.faults.kills [VERB ...] [--kills 50] [--signals KILL TERM INT] [--changes]

Prints the table that stands in ``docs/testing.md``, and names every fault: bytes that differ, a line that is torn, a
process that is left behind, a file that the next start does not clear away, a signal that ends in a traceback.

All that is heavy is imported once; each attempt is a fork, so that a moment lies in the work and not in the start.
With ``--changes`` the moments are the changes of the output folder, each in turn: before a file is opened to be
written, renamed, removed. Unix only.
"""

import argparse
import contextlib
import importlib
import json
import os
import pkgutil
import random
import re
import runpy
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specvid.text import to_markdown
from specvid.tools.faults.scenarios import SCENARIOS, Scenario, Words

SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM, "INT": signal.SIGINT}
PATIENCE = 5.0
"""Seconds after which no process may be left, and, after SIGTERM and SIGINT, half of those in which all must end."""
_CHAIN = 3  # kills on the way to one result
_CLOCKS = {"seconds", "build_seconds", "clips_per_s", "wait_share"}  # what JSON says of the time
_LOGGED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ |  ")
_WRITES = ("w", "a", "x", "+")
_HEAVY = ("faiss", "pyarrow.parquet", "pyarrow.compute", "cv2", "av", "matplotlib.figure", "torch.export", "torch.onnx")
_CHANGES = {"os.rename": (0, 1), "os.remove": (0,), "os.rmdir": (0,), "os.mkdir": (0,), "os.link": (0, 1)}


@dataclass
class Kills:
    """What became of one verb under one signal.

    Attributes:
        verb: its name.
        signal: KILL, TERM or INT.
        died: attempts that the signal ended at work.
        results: complete outputs that were compared.
        slowest: longest time from a signal to the end, s.
        faults: what must not be.
    """

    verb: str
    signal: str
    died: int = 0
    results: int = 0
    slowest: float = 0.0
    faults: list[str] = field(default_factory=list)


class Stage:
    """A folder in which one verb is started, killed and started again.

    Args:
        scenario: the verb.
        folder: an empty one.
    """

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.inputs, self.out, self.log = scenario, folder / "inputs", folder / "out", folder / "log.txt"
        self.inputs.mkdir(parents=True)
        scenario.inputs(self.inputs, self.run_to_the_end)
        self.words = scenario.words(self.inputs, self.out)

    def reset(self) -> None:
        """Put the output folder back to what it starts as."""
        shutil.rmtree(self.out, ignore_errors=True)
        if self.scenario.start:
            shutil.copytree(self.inputs / self.scenario.start, self.out)
        else:
            self.out.mkdir()

    def run_to_the_end(self, words: Words) -> float:
        """Run a verb that nobody kills.

        Args:
            words: its command line.

        Returns:
            Seconds that it took.

        Raises:
            RuntimeError: it failed.
        """
        begun = time.monotonic()
        _, status = os.waitpid(start(words, self.log), 0)
        if status:
            raise RuntimeError(
                f"specvid {' '.join(words)}: exit code {os.waitstatus_to_exitcode(status)}\n{self.printed()}"
            )
        return time.monotonic() - begun

    def printed(self) -> str:
        """What the last attempt printed."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def count_changes(self) -> int:
        """How often an uninterrupted run changes the output folder."""
        self.reset()
        counter = self.log.with_name("changes")
        os.waitpid(start(self.words, self.log, watched=self.out, count_into=counter), 0)
        return int(counter.read_text())


def kill(
    verb: str, stage: Stage, name: str, expected: dict[str, Any], moments: Iterable[float], *, changes: bool = False
) -> Kills:
    """Kill a verb at each of some moments, several times on the way to one result.

    Args:
        verb: its name.
        stage: where it is started.
        name: of the signal.
        expected: `contents` of what nobody killed.
        moments: seconds from the start of the work; or numbers of changes.
        changes: the moments are changes of the output folder.

    Returns:
        What became of it.
    """
    found, number = Kills(verb, name), SIGNALS[name]
    stage.reset()
    chain = 0
    for moment in moments:
        if changes:
            child = start(stage.words, stage.log, watched=stage.out, change=int(moment), number=number)
        else:
            child = start(stage.words, stage.log)
            time.sleep(moment)
        signalled = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            if not changes:  # Slurm and a terminal signal the whole group; the out-of-memory killer only one
                (os.kill if number == signal.SIGKILL else os.killpg)(child, number)
        _, status = os.waitpid(child, 0)
        found.slowest = max(found.slowest, time.monotonic() - signalled)
        code = os.waitstatus_to_exitcode(status)
        output = stage.printed()
        if code:
            found.died += code in (-number, 128 + number)
            chain += 1
            found.faults += _ending_faults(code, number, output, moment)
            found.faults += _half_done(stage, expected)
        left = _left_behind(child)
        if left:
            found.faults.append(f"processes are left {PATIENCE:.0f} s after {name} at {moment:.2f}: {', '.join(left)}")
        if not code or chain == _CHAIN:
            chain = 0
            found.faults += _compare(stage, expected, finished=not code)
            found.results += 1
            stage.reset()
    if chain:
        found.faults += _compare(stage, expected, finished=False)
        found.results += 1
    return found


def _ending_faults(code: int, number: int, output: str, moment: float) -> list[str]:
    """What is wrong with how an attempt ended that was not killed outright."""
    name = signal.Signals(number).name
    if code not in (-number, 128 + number):
        return [f"exit code {code} after {name} at {moment:.2f}: {output[-2000:]}"]
    if number == signal.SIGKILL:
        return []
    if code == -number:
        return [f"{name} at {moment:.2f} ends it without a word"]
    last = output.strip().splitlines()[-1] if output.strip() else ""
    if "Traceback" in output or not last.startswith(f"specvid: stopped by {name}: "):
        return [f"{name} at {moment:.2f}: {output[-2000:]}"]
    return []


def _half_done(stage: Stage, expected: dict[str, Any]) -> list[str]:
    """What a reader would get wrong before the command is started again."""
    scenario, faults = stage.scenario, []
    if scenario.reader is not None:
        try:
            stage.run_to_the_end(scenario.reader(stage.inputs, stage.out))
        except RuntimeError as error:
            faults.append(f"cannot be read meanwhile: {error}")
    if scenario.grows:
        return faults
    before = contents(stage.inputs / scenario.start) if scenario.start else {}
    for name, content in contents(stage.out).items():
        hidden = any(part.startswith(".") for part in Path(name).parts)
        if not hidden and content not in (before.get(name), expected.get(name)):
            faults.append(f"{name} is neither the old nor the new one after a kill")
    return faults


def _compare(stage: Stage, expected: dict[str, Any], *, finished: bool) -> list[str]:
    """What is wrong with the output, once it is complete."""
    if not finished:
        try:
            stage.run_to_the_end(stage.words)
        except RuntimeError as error:
            return [f"started again: {error}"]
    own = contents(stage.out)
    faults = [f"{path} is left over" for path in own.keys() - expected.keys()]
    faults += [f"{path} is missing" for path in expected.keys() - own.keys()]
    faults += [f"{path} has other bytes" for path in own.keys() & expected.keys() if own[path] != expected[path]]
    return faults + torn_lines(stage.out)


def start(
    words: Words,
    log: Path,
    *,
    watched: Path | None = None,
    change: int = -1,
    number: int = signal.SIGKILL,
    count_into: Path | None = None,
) -> int:
    """Start ``specvid WORDS`` in a fork, the first process of a group of its own.

    Args:
        words: the command line.
        log: the file that gets what it prints.
        watched: the folder whose changes count.
        change: the one before which it signals itself; none if negative.
        number: of that signal.
        count_into: a file that gets the number of changes at the end.

    Returns:
        The process id.
    """
    child = os.fork()
    if child:
        with contextlib.suppress(OSError):  # it may have done so itself, and have ended
            os.setpgid(child, child)
        return child
    code = 1
    try:
        os.setpgid(0, 0)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        count = _watch(watched, change, number) if watched is not None else [0]
        sys.argv = ["specvid", *words]
        try:
            runpy.run_module("specvid", run_name="__main__")
        except SystemExit as stop:
            code = int(stop.code or 0)
        if count_into is not None:
            count_into.write_text(str(count[0]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _watch(folder: Path, change: int, number: int) -> list[int]:
    """Count the changes of a folder by this process, and signal it before one of them."""
    inside, count, here = str(folder), [0], os.getpid()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            changes = any(letter in mode for letter in _WRITES) if mode else bool(flags & (os.O_WRONLY | os.O_RDWR))
            paths = (path,) if changes else ()
        elif event in _CHANGES:
            paths = tuple(arguments[place] for place in _CHANGES[event])
        else:
            return
        if os.getpid() == here and any(isinstance(path, str | os.PathLike) and _below(path, inside) for path in paths):
            count[0] += 1  # first: what handles the signal may raise here
            if count[0] == change + 1:
                (os.kill if number == signal.SIGKILL else os.killpg)(here, number)

    sys.addaudithook(hook)
    return count


def _below(path: str | os.PathLike[str], folder: str) -> bool:
    return os.fspath(path).startswith(folder)


def _left_behind(group: int) -> list[str]:
    """The processes of a group that are still alive after a while."""
    until = time.monotonic() + PATIENCE
    while left := _alive(group):
        if time.monotonic() > until:
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            return [f"{process}" for process in left]
        time.sleep(0.05)
    return []


def _alive(group: int) -> list[int]:
    """The processes of a group, without those that have ended and that nobody has asked for."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                state, _, own = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:  # it ended meanwhile
                continue
            if int(own) == group and state not in "ZX":
                found.append(int(entry))
    return found


def contents(folder: Path) -> dict[str, Any]:
    """All that lies in a folder, hidden files too, without what the clock says.

    Args:
        folder: the folder.

    Returns:
        The content of each file by its path: bytes, or JSON without its times; None of a log, of a folder, and of
        TensorBoard's events.
    """
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if "tensorboard/" in name:
            continue
        if path.is_dir() or path.name == "log.txt":
            found[name] = None
        else:
            found[name] = path.read_bytes()
            if path.suffix in (".json", ".jsonl"):
                texts = found[name].splitlines() if path.suffix == ".jsonl" else [found[name]]
                with contextlib.suppress(ValueError):  # it is torn
                    found[name] = [_timeless(json.loads(text)) for text in texts]
    return found


def _timeless(value: Any) -> Any:
    """JSON without its times."""
    if isinstance(value, dict):
        return {key: _timeless(own) for key, own in value.items() if key not in _CLOCKS}
    return [_timeless(own) for own in value] if isinstance(value, list) else value


def torn_lines(folder: Path) -> list[str]:
    """The lines of logs, tables and JSON lines that a kill cut off.

    Args:
        folder: that they lie in.

    Returns:
        A sentence for each.
    """
    faults = []
    for path in folder.rglob("*"):
        if path.name == "log.txt" or path.suffix in (".csv", ".jsonl"):
            text = path.read_text(encoding="utf-8")
            if text and not text.endswith("\n"):
                faults.append(f"{path.relative_to(folder)}: its last line is torn")
            if path.name == "log.txt":
                faults += [f"log.txt: {line!r} is torn" for line in text.splitlines() if not _LOGGED.match(line)]
    return faults


def import_everything() -> None:
    """Import all that any verb uses, so that forks need not."""
    import specvid

    for package in ("cli", "pipelines", "datasets", "eval", "models", "tools.data"):
        module = importlib.import_module(f"specvid.{package}")
        for info in pkgutil.walk_packages(module.__path__, f"{module.__name__}."):
            if "mmaction" not in info.name:  # takes long, and nothing here uses it
                importlib.import_module(info.name)
    for name in _HEAVY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    import torch

    assert specvid
    torch.set_num_threads(1)


def run(
    verbs: Sequence[str], signals: Sequence[str], kills: int, folder: Path, *, changes: bool = False, seed: int = 0
) -> list[Kills]:
    """Kill verbs.

    Args:
        verbs: names of `SCENARIOS`.
        signals: names of `SIGNALS`.
        kills: how many of each verb by each signal; the changes of its folder, at most so many, spread evenly.
        folder: where to work.
        changes: kill before changes of the output folder, not at random moments.
        seed: of the moments.

    Returns:
        What became of each.
    """
    import_everything()
    found = []
    for verb in verbs:
        stage = Stage(SCENARIOS[verb], folder / verb.replace(" ", "-"))
        complete, seconds = [], 0.0
        for _ in range(2):
            stage.reset()
            seconds = stage.run_to_the_end(stage.words)
            complete.append(contents(stage.out))
        unlike = [name for name in complete[0] if complete[0][name] != complete[1].get(name)]
        for name in signals:
            rng = random.Random(f"{seed} {verb} {name}")
            moments: list[float] = [rng.uniform(0.02, seconds) for _ in range(kills)]
            if changes:
                count = stage.count_changes()
                number = min(kills, count)
                moments = sorted({round(i * (count - 1) / max(1, number - 1)) for i in range(number)})
            outcome = kill(verb, stage, name, complete[1], moments, changes=changes)
            outcome.faults += [f"two runs that nobody killed differ in {path}" for path in unlike]
            found.append(outcome)
            print(f"{verb}, {name}: {outcome.died} died, {len(outcome.faults)} faults", file=sys.stderr, flush=True)
            print("\n".join(list(dict.fromkeys(outcome.faults))[:20]), file=sys.stderr, flush=True)
    return found


def as_table(found: Sequence[Kills]) -> str:
    """The Markdown table of what was found.

    Args:
        found: of `run`.

    Returns:
        A row for each verb and signal.
    """
    rows = [["verb", "signal", "ended at work", "results compared", "slowest end", "faults"]]
    for one in found:
        slowest = f"{one.slowest:.1f} s" if one.signal != "KILL" else "-"
        rows.append([one.verb, one.signal, str(one.died), str(one.results), slowest, str(len(one.faults))])
    return to_markdown(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: its words; those of the process if None.

    Returns:
        The exit code; 1 where there was a fault.
    """
    about = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m specvid.tools.faults.kills", description=about)
    parser.add_argument("verbs", nargs="*", metavar="VERB", help=f"all if not given: {', '.join(SCENARIOS)}")
    parser.add_argument("--kills", type=int, default=50, help="of each verb by each signal")
    parser.add_argument("--signals", nargs="+", choices=list(SIGNALS), default=list(SIGNALS))
    parser.add_argument("--changes", action="store_true", help="before each change of the output folder")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    for verb in options.verbs:
        if verb not in SCENARIOS:
            parser.error(f"verb {verb!r} is unknown. Choose from: {', '.join(map(repr, SCENARIOS))}")
    with tempfile.TemporaryDirectory() as folder:
        verbs = options.verbs or list(SCENARIOS)
        found = run(verbs, options.signals, options.kills, Path(folder), changes=options.changes, seed=options.seed)
    print(as_table(found))
    for one in found:
        for fault in dict.fromkeys(one.faults):
            print(f"fault: {one.verb}, {one.signal}: {fault} ({one.faults.count(fault)} x)")
    return int(any(one.faults for one in found))


if __name__ == "__main__":
    raise SystemExit(main())
