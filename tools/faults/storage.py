"""Take the storage away from verbs at work, and hold what they say and leave behind against what must be.

    python -m specvid.tools.faults.storage [VERB ...] [--faults full ...] [--tries 5]

| fault | what is done | what must be |
|---|---|---|
| full | the output is on a disk (tmpfs) with room for a part of what the verb writes | exit code 2, ... |
| limited | no file may have more than a part of the bytes of the largest | ... one line names file and reason, ... |
| read-only | the disk of the output is mounted so | ... no file is half written, ... |
| unwritable | the output folder may not be written | ... and the same command then goes on to the same bytes |
| vanishing | an input file is removed at a random moment | the same bytes, or one line that names it; no traceback |
| growing | bytes are added to an input file at a random moment | likewise |
| inside | the output is a folder inside the input; twice | the same bytes twice, or one line; the input as it was |
| twice | two start at once on one output | the same bytes; one of them may be refused in one line |

Prints the table that stands in ``docs/testing.md``, and names what must not be. Disks are mounted, which takes root;
without it these faults are left out, and that is said. Unix only.
"""

import argparse
import contextlib
import ctypes
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from specvid.text import to_markdown
from specvid.tools.faults.attempts import Stage, import_everything, left_behind, start
from specvid.tools.faults.kills import compare, half_done
from specvid.tools.faults.outputs import contents
from specvid.tools.faults.scenarios import SCENARIOS

_PAGE = 4096
_LARGE = 2**28
_PATIENCE = 300.0  # s after which a verb hangs
_ROOT = os.name == "posix" and os.geteuid() == 0


@dataclass
class Outcome:
    """What became of one verb under one fault.

    Attributes:
        verb: its name.
        fault: its name.
        tried: how often.
        refused: attempts that ended in one line.
        done: attempts that did their work.
        wrong: what must not be.
    """

    verb: str
    fault: str
    tried: int = 0
    refused: int = 0
    done: int = 0
    wrong: list[str] = field(default_factory=list)


class Bench:
    """A verb, its inputs and its output on a disk of its own, where that can be mounted.

    Args:
        verb: one of `SCENARIOS`.
        folder: an empty one.
    """

    def __init__(self, verb: str, folder: Path) -> None:
        self.verb, self.stage = verb, Stage(SCENARIOS[verb], folder)
        folder.chmod(0o755)
        self.sound = folder / "sound"
        shutil.copytree(self.stage.inputs, self.sound)
        self.stage.reset()
        self.seconds = self.stage.run_to_the_end(self.stage.words)
        self.expected = contents(self.stage.out)

    def attempt(self, outcome: Outcome, act: Callable[[], None] | None = None, **options: Any) -> tuple[int, str]:
        """Start the verb, do something to it, and wait for it.

        Args:
            outcome: that is added to.
            act: what is done while it runs.
            **options: of `start`.

        Returns:
            The exit code, and what it printed.
        """
        outcome.tried += 1
        child = start(self.stage.words, self.stage.log, **options)
        if act is not None:
            act()
        code = _wait(child)
        if left := left_behind(child):
            outcome.wrong.append(f"processes are left: {', '.join(left)}")
        return code, self.stage.printed()

    def judge(self, outcome: Outcome, code: int, output: str, *names: str, codes: Sequence[int] = (2,)) -> None:
        """An attempt must have ended in one line that names something.

        Args:
            outcome: that is added to.
            code: the exit code.
            output: what was printed.
            *names: one of which it must name.
            codes: exit codes that are right.
        """
        last = output.strip().splitlines()[-1] if output.strip() else ""
        one_line = "Traceback" not in output and code in codes and (not names or any(name in output for name in names))
        if one_line and (code != 2 or last.startswith("specvid: ")):
            outcome.refused += 1
        else:
            outcome.wrong.append(f"exit code {code}: {output[-3000:]}")

    def go_on(self, outcome: Outcome) -> None:
        """What is there must be whole, and the same command must go on.

        Args:
            outcome: that is added to.
        """
        outcome.wrong += half_done(self.stage, self.expected)
        outcome.wrong += compare(self.stage, self.expected, finished=False)


def _wait(child: int) -> int:
    """The exit code of a process; a number beyond all others where it hangs."""
    until = time.monotonic() + _PATIENCE
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return 999
        time.sleep(0.02)


def full(bench: Bench, outcome: Outcome, tries: int) -> None:
    """A disk with too little room, from none at all to nearly enough.

    Args:
        bench: the verb, and what it gives undisturbed.
        outcome: that is added to.
        tries: how often, where there are several ways.
    """
    stage, names = bench.stage, [path for path in bench.expected if bench.expected[path] is not None]
    with _mounted(stage.disk) as remount:
        stage.reset()
        before = _blocks(stage.out)
        stage.run_to_the_end(stage.words)
        needed = _blocks(stage.out) - before
        bench.expected = contents(stage.out)
        (stage.disk / "filler").write_bytes(bytes(_PAGE))  # a disk without any room would be one without a limit
        for number in range(tries):
            stage.reset()
            remount(f"size={before + _PAGE + needed * number // tries // _PAGE * _PAGE}")
            code, output = bench.attempt(outcome)
            remount(f"size={_LARGE}")
            bench.judge(outcome, code, output, str(stage.out), *names)
            bench.go_on(outcome)


def limited(bench: Bench, outcome: Outcome, tries: int) -> None:
    """Files may not grow beyond a part of the largest one.

    Args:
        bench: the verb, and what it gives undisturbed.
        outcome: that is added to.
        tries: how often, where there are several ways.
    """
    stage = bench.stage
    stage.reset()
    stage.run_to_the_end(stage.words)
    start_folder = stage.inputs / stage.scenario.start
    old = set(contents(start_folder)) if stage.scenario.start else set()
    files = [path for path in stage.out.rglob("*") if path.is_file() and str(path.relative_to(stage.out)) not in old]
    largest = max(path.stat().st_size for path in files)
    for number in range(tries):
        stage.reset()
        most = largest * number // tries

        def limit(most: int = most) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

        os.mkfifo(fifo := stage.log.with_name("fifo"))  # what it prints is no file that is limited
        reader = subprocess.Popen(["cat", str(fifo)], stdout=subprocess.PIPE)
        log, stage.log = stage.log, fifo
        try:
            outcome.tried += 1
            code = _wait(start(stage.words, fifo, prepare=limit))
            output = reader.communicate()[0].decode(errors="replace")
        finally:
            stage.log = log
            fifo.unlink()
        bench.judge(outcome, code, output, str(stage.out), "shared memory")  # which is files, too
        bench.go_on(outcome)


def read_only(bench: Bench, outcome: Outcome, tries: int) -> None:
    """A disk that is mounted read-only.

    Args:
        bench: the verb, and what it gives undisturbed.
        outcome: that is added to.
        tries: how often, where there are several ways.
    """
    with _mounted(bench.stage.disk) as remount:
        bench.stage.reset()
        remount("ro")
        code, output = bench.attempt(outcome)
        remount("rw")
        bench.judge(outcome, code, output, str(bench.stage.out))
        bench.go_on(outcome)


def unwritable(bench: Bench, outcome: Outcome, tries: int) -> None:
    """An output folder that may not be written.

    Args:
        bench: the verb, and what it gives undisturbed.
        outcome: that is added to.
        tries: how often, where there are several ways.
    """
    bench.stage.reset()
    folders = [bench.stage.disk, *(path for path in [bench.stage.out, *bench.stage.out.rglob("*")] if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    code, output = bench.attempt(outcome, prepare=_drop_rights if _ROOT else None)
    for folder in folders:
        folder.chmod(0o755)
    bench.judge(outcome, code, output, str(bench.stage.disk))
    bench.go_on(outcome)


def _drop_rights() -> None:
    """Take from root the right to write where the mode of a folder forbids it, for good."""
    libc, dac_override = ctypes.CDLL(None, use_errno=True), 1
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc.prctl(24, dac_override, 0, 0, 0)  # PR_CAPBSET_DROP: of programs that are started, too
    libc.capget(header, sets)
    for kind in range(3):  # effective, permitted, inheritable
        sets[kind] &= ~(1 << dac_override)
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


def vanishing(bench: Bench, outcome: Outcome, tries: int) -> None:
    """An input file that is removed.

    Args:
        bench: the verb, and what it gives undisturbed.
        outcome: that is added to.
        tries: how often, where there are several ways.
    """
    _change_an_input(bench, outcome, tries, Path.unlink)


def growing(bench: Bench, outcome: Outcome, tries: int) -> None:
    """An input file that grows.

    Args:
        bench: the verb, and what it gives undisturbed.
        outcome: that is added to.
        tries: how often, where there are several ways.
    """
    _change_an_input(bench, outcome, tries, _grow)


def _grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\x5a" * 70_000)


def _change_an_input(bench: Bench, outcome: Outcome, tries: int, change: Callable[[Path], None]) -> None:
    rng, stage = random.Random(f"{bench.verb} {outcome.fault}"), bench.stage
    files = sorted(path for path in stage.inputs.rglob("*") if path.is_file())
    for _ in range(tries if files else 0):
        stage.reset()
        path, moment = rng.choice(files), rng.uniform(0, bench.seconds * 0.8)

        def act(path: Path = path, moment: float = moment) -> None:
            time.sleep(moment)
            change(path)

        code, output = bench.attempt(outcome, act)
        if code == 0:
            outcome.done += 1
            outcome.wrong += [output[-3000:]] if "Traceback" in output else []
        else:
            bench.judge(outcome, code, output, path.name, path.parent.name, codes=(1, 2))
        shutil.rmtree(stage.inputs)
        shutil.copytree(bench.sound, stage.inputs)


def inside(bench: Bench, outcome: Outcome, tries: int) -> None:
    """An output folder inside the input, in each of its folders at the top; twice.

    Args:
        bench: the verb, and what it gives undisturbed.
        outcome: that is added to.
        tries: how often, where there are several ways.
    """
    stage = bench.stage
    usual, words = stage.out, stage.words
    for top in sorted(path for path in stage.inputs.iterdir() if path.is_dir() and path.name != "start"):
        stage.out = top / "out"
        stage.words = stage.scenario.words(stage.inputs, stage.out)
        stage.reset()
        found = []
        for _ in range(2):
            code, output = bench.attempt(outcome)
            if code == 0 and "Traceback" not in output:
                outcome.done += 1
                found.append(contents(stage.out))
            else:
                bench.judge(outcome, code, output, codes=(1, 2))
        if len(found) == 1 or (len(found) == 2 and found[0].keys() != found[1].keys()):
            outcome.wrong.append(f"the second time another outcome: {[sorted(one) for one in found]}: {output[-2000:]}")
        shutil.rmtree(stage.out)
        if contents(stage.inputs) != contents(bench.sound):
            outcome.wrong.append("the input was changed")
    stage.out, stage.words = usual, words


def twice(bench: Bench, outcome: Outcome, tries: int) -> None:
    """Two at once on one output.

    Args:
        bench: the verb, and what it gives undisturbed.
        outcome: that is added to.
        tries: how often, where there are several ways.
    """
    stage = bench.stage
    for _ in range(tries):
        stage.reset()
        logs = [stage.log, stage.log.with_name("second.txt")]
        children = [start(stage.words, log) for log in logs]
        codes = [_wait(child) for child in children]
        outcome.tried += 1
        for code, log in zip(codes, logs, strict=True):
            output = log.read_text(errors="replace")
            if code == 0 and "Traceback" not in output:
                outcome.done += 1
            else:
                bench.judge(outcome, code, output, "another process", codes=(2,))
        if codes == [2, 2]:
            outcome.wrong.append("both are refused")
        outcome.wrong += compare(stage, bench.expected, finished=0 in codes)


FAULTS: dict[str, Callable[[Bench, Outcome, int], None]] = {
    "full": full,
    "limited": limited,
    "read-only": read_only,
    "unwritable": unwritable,
    "vanishing": vanishing,
    "growing": growing,
    "inside": inside,
    "twice": twice,
}
"""By the names of the command line."""


@contextlib.contextmanager
def _mounted(folder: Path) -> Iterator[Callable[[str], None]]:
    """A disk in memory at a folder; gives a function that mounts it anew with other options."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_LARGE},mode=755", "tmpfs", str(folder)], check=True)

    def remount(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)

    try:
        yield remount
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def can_mount() -> bool:
    """Whether disks can be mounted here."""
    if not _ROOT or sys.platform != "linux":
        return False
    with tempfile.TemporaryDirectory() as folder:
        try:
            with _mounted(Path(folder)):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


def _blocks(folder: Path) -> int:
    """Bytes that files take on a disk in memory."""
    return sum(-(-path.stat().st_size // _PAGE) * _PAGE for path in folder.rglob("*") if path.is_file())


def run(verbs: Sequence[str], faults: Sequence[str], tries: int, folder: Path) -> list[Outcome]:
    """Take the storage away from verbs.

    Args:
        verbs: names of `SCENARIOS`.
        faults: names of `FAULTS`.
        tries: of each verb under each fault that can be tried in more than one way.
        folder: where to work.

    Returns:
        What became of each.
    """
    import_everything()
    folder.chmod(0o755)
    found = []
    for verb in verbs:
        bench = Bench(verb, folder / verb.replace(" ", "-"))
        for fault in faults:
            outcome = Outcome(verb, fault)
            FAULTS[fault](bench, outcome, tries)
            found.append(outcome)
            print(f"{verb}, {fault}: {outcome.tried} tried, {len(outcome.wrong)} wrong", file=sys.stderr, flush=True)
            print("\n".join(list(dict.fromkeys(outcome.wrong))[:20]), file=sys.stderr, flush=True)
    return found


def as_table(found: Sequence[Outcome]) -> str:
    """The Markdown table of what was found.

    Args:
        found: of `run`.

    Returns:
        A row for each fault and verb.
    """
    rows = [["fault", "verb", "tried", "refused in one line", "done", "wrong"]]
    for one in sorted(found, key=lambda one: list(FAULTS).index(one.fault)):
        rows.append([one.fault, one.verb, *map(str, (one.tried, one.refused, one.done, len(one.wrong)))])
    return to_markdown(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: its words; those of the process if None.

    Returns:
        The exit code; 1 where something was wrong.
    """
    about = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m specvid.tools.faults.storage", description=about)
    parser.add_argument("verbs", nargs="*", metavar="VERB", help=f"all if not given: {', '.join(SCENARIOS)}")
    parser.add_argument("--faults", nargs="+", choices=list(FAULTS), default=list(FAULTS))
    parser.add_argument("--tries", type=int, default=5, help="of each verb under each fault")
    options = parser.parse_args(argv)
    for verb in options.verbs:
        if verb not in SCENARIOS:
            parser.error(f"verb {verb!r} is unknown. Choose from: {', '.join(map(repr, SCENARIOS))}")
    faults = options.faults
    if not can_mount() and not {"full", "read-only"}.isdisjoint(faults):
        faults = [fault for fault in faults if fault not in ("full", "read-only")]
        print("left out: full, read-only (mounting a disk takes root)", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        found = run(options.verbs or list(SCENARIOS), faults, options.tries, Path(folder))
    print(as_table(found))
    for one in found:
        for fault in dict.fromkeys(one.wrong):
            print(f"wrong: {one.verb}, {one.fault}: {fault} ({one.wrong.count(fault)} x)")
    return int(any(one.wrong for one in found))


if __name__ == "__main__":
    raise SystemExit(main())
