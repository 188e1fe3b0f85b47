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
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specvid.text import to_markdown
from specvid.tools.faults.attempts import PATIENCE, Stage, import_everything, left_behind, start
from specvid.tools.faults.outputs import contents, torn_lines
from specvid.tools.faults.scenarios import SCENARIOS

SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM, "INT": signal.SIGINT}
_CHAIN = 3  # kills on the way to one result


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


def kill(
    verb: str, stage: Stage, name: str, expected: dict[str, Any], moments: Iterable[float], *, changes: bool = False
) -> Kills:
    """Kill a verb at each of some moments, several times on the way to one result.

    Args:
        verb: its name.
        stage: where it is started.
        name: of the signal.
        expected: `contents` of what nobody killed.
        moments: seconds from when the verb begins; or numbers of changes.
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
            found.faults += half_done(stage, expected)
        left = left_behind(child)
        if left:
            found.faults.append(f"processes are left {PATIENCE:.0f} s after {name} at {moment:.2f}: {', '.join(left)}")
        if not code or chain == _CHAIN:
            chain = 0
            found.faults += compare(stage, expected, finished=not code)
            found.results += 1
            stage.reset()
    if chain:
        found.faults += compare(stage, expected, finished=False)
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


def half_done(stage: Stage, expected: dict[str, Any]) -> list[str]:
    """What a reader would get wrong before the command is started again.

    Args:
        stage: where it was stopped.
        expected: `contents` of what nobody stopped.

    Returns:
        A sentence for each fault.
    """
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


def compare(stage: Stage, expected: dict[str, Any], *, finished: bool) -> list[str]:
    """What is wrong with the output, once it is complete.

    Args:
        stage: where it lies.
        expected: `contents` of what nobody stopped.
        finished: it is complete; else the command is started again first.

    Returns:
        A sentence for each fault.
    """
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
            moments: list[float] = [rng.uniform(0, seconds) for _ in range(kills)]
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
