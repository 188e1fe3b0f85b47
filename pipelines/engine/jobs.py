"""Command lines of specvid as processes of their own, several at a time."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from specvid.cores import usable_cores
from specvid.pipelines.engine.signals import Interrupted, handling

_THREADS = {"OMP_NUM_THREADS", "MKL_NUM_THREADS"}


def commands_at_once(jobs: int, count: int) -> int:
    """How many of some command lines `run_commands` runs at a time.

    Args:
        jobs: as many as were asked for; one for each core if 0.
        count: of the command lines.

    Returns:
        Their number.
    """
    return min(jobs or usable_cores(), count)


def run_commands(
    commands: Mapping[str, Sequence[str]],
    *,
    logs: str | Path,
    stopped: str,
    jobs: int = 0,
    on_start: Callable[[str], None] = lambda name: None,
    on_line: Callable[[str, str], None] | None = None,
    gives_up: Callable[[Mapping[str, str]], bool] = lambda ended: False,
) -> Iterator[tuple[str, str]]:
    """Run command lines, each with its share of the cores, if the environment does not say how many threads they have.

    Args:
        commands: the words after ``specvid``, by a name that is a file's.
        logs: folder for what each prints, ``NAME.txt``.
        stopped: what to say where a signal ends it, after each command was told to save itself.
        jobs: at a time; one for each core if 0.
        on_start: called with the name as a command starts, after what ended before it was yielded.
        on_line: called with the name and each line that is printed, from several threads.
        gives_up: asked before each command starts, with what is yielded of those that ended; once it says yes, those
            that have not started are left out.

    Yields:
        Each name as its command ends, and the last line that it printed; "" where its exit code is 0.

    Raises:
        Interrupted: a signal ended it.
    """
    if not commands:
        return
    cores = usable_cores()
    at_once = commands_at_once(jobs, len(commands))
    running: set[subprocess.Popen[str]] = set()
    ended: dict[str, str] = {}
    events = SimpleQueue[str | Future[str | None]]()  # a command that starts, or one that ended, in this order
    Path(logs).mkdir(parents=True, exist_ok=True)

    def stop(number: int) -> None:
        for process in list(running):
            process.terminate()
        raise Interrupted(number, stopped)

    def run(name: str) -> str | None:
        if gives_up(ended):
            return None
        events.put(name)
        # One of them alone would be overruled by the other: PyTorch takes MKL's where there is MKL.
        share = {} if _THREADS & os.environ.keys() else dict.fromkeys(_THREADS, str(max(1, cores // at_once)))
        environment = os.environ | share
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "errors": "replace"}
        last = ""
        with (
            (Path(logs) / f"{name}.txt").open("w", encoding="utf-8", errors="backslashreplace") as log,
            # in a session of its own: a Ctrl-C reaches it once, through `stop`
            subprocess.Popen(
                [sys.executable, "-m", "specvid", *commands[name]],
                env=environment,
                start_new_session=True,
                text=True,
                **pipes,
            ) as process,
        ):
            running.add(process)
            for line in process.stdout or ():
                log.write(line)
                log.flush()
                last = line.strip() or last
                if on_line is not None:
                    on_line(name, line.rstrip("\n"))
            code = process.wait()
            running.discard(process)
        # here, not where it is yielded: this thread takes up the next command first
        ended[name] = (last or f"exit code {code}") if code else ""
        return ended[name]

    with handling(stop), ThreadPoolExecutor(at_once) as pool:
        futures = {pool.submit(run, name): name for name in commands}
        for future in futures:
            future.add_done_callback(events.put)  # in the thread that then takes up the next command
        left = len(futures)
        try:
            while left:
                event = events.get()
                if isinstance(event, str):
                    on_start(event)
                    continue
                left -= 1
                last = event.result()
                if last is not None:
                    yield futures[event], last
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
