"""The sweep: hundreds of damaged and unusual videos, each read in a process of its own and held against bare PyAV.

    python -m specvid.tools.data.sweep CLIP [CLIP ...] [--out DIR]

Prints the table that stands in ``docs/reading.md``, and names every file that does not end as it should.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from specvid.tools.data.variants import Variant, make_variants

TIMEOUT = 60.0
"""Seconds that reading a file may take, with everything that is compared."""
_CLIP = 16


@dataclass
class Outcome:
    """What became of a file.

    Args:
        share: of the source's frames, that bare PyAV decodes.
        error: why it cannot be read; "" where it can.
        warning: of a file that can be read.
        guessed: where a clip differs from the whole in a video in which FFmpeg mended frames, or the whole from bare
            PyAV in frames behind a lost one: FFmpeg guesses them from what it decoded before, or from what its buffers
            hold.
        faults: what must not be: "dies", "hangs", a frame that moved or was repeated without a word, clips or
            ``data check`` that do not agree.
    """

    share: float = 0.0
    error: str = ""
    warning: str = ""
    guessed: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def sweep(variants: Sequence[Variant], *, timeout: float = TIMEOUT) -> list[Outcome]:
    """Read all variants.

    Args:
        variants: of `make_variants`.
        timeout: s for each.

    Returns:
        What became of each.
    """
    return list(_watch(variants, timeout))


def as_table(variants: Sequence[Variant], outcomes: Sequence[Outcome]) -> str:
    """The counts per kind.

    Args:
        variants: what was tried.
        outcomes: of each.

    Returns:
        A table in Markdown.
    """
    lines = [
        "| what was done | files | PyAV decodes 95 % | of these read | of the others | refused | guessed | faults |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in [*sorted({variant.kind for variant in variants}), "all"]:
        own = [o for v, o in zip(variants, outcomes, strict=True) if kind in (v.kind, "all")]
        readable = [o for o in own if o.share >= 0.95]
        read = sum(not o.error for o in readable)
        counts = [len(own), len(readable), read, sum(not o.error for o in own) - read]
        counts += [sum(bool(getattr(o, what)) for o in own) for what in ("error", "guessed", "faults")]
        lines.append(f"| {kind} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines)


def _watch(variants: Sequence[Variant], timeout: float) -> Iterator[Outcome]:
    """The outcomes in order; a process that dies or hangs is replaced, and costs its own file."""
    context = get_context("spawn")
    process: Any = None
    pipe: Any = None
    for variant in variants:
        if process is None:
            pipe, far = context.Pipe()
            process = context.Process(target=_serve, args=(far,), daemon=True)
            process.start()
            far.close()
        try:
            pipe.send(variant)
            if not pipe.poll(timeout):
                raise TimeoutError
            yield pipe.recv()
        except (EOFError, OSError) as error:  # TimeoutError is an OSError
            fault = "hangs" if isinstance(error, TimeoutError) else "dies"
            process.kill()
            process.join()
            process = None
            yield Outcome(share=1.0, error=fault, faults=[fault])
    if process is not None:
        process.kill()
        process.join()


def _serve(pipe: Connection) -> None:
    while True:
        pipe.send(_measure(pipe.recv()))


def _measure(variant: Variant) -> Outcome:
    from specvid.datasets.decode import open_video
    from specvid.datasets.decode.verify import verify_video
    from specvid.errors import VideoError

    truth = _bare(variant.path)
    outcome = Outcome(share=len(truth) / variant.frames)
    try:
        verified = verify_video(variant.path)
    except VideoError as error:
        outcome.error = str(error)
        if "\n" in outcome.error or not outcome.error.startswith(f"{variant.path}: "):
            outcome.faults.append(f"not one clear line: {outcome.error!r}")
    else:
        outcome.warning = verified.warning
    try:
        with open_video(variant.path) as video:
            frames = video.frames(np.arange(len(video)))
    except VideoError as error:
        if not outcome.error:
            outcome.faults.append(f"refuses what `data check` takes: {error}")
        return outcome
    if outcome.error:
        outcome.faults.append(f"reads what `data check` refuses: {outcome.error}")
        return outcome
    lost = np.array(verified.lost, np.int64)
    differences = list(_compare(frames, truth, lost, video.warning))
    only_guesses = bool(differences) and len(lost) > 0 and _only_guesses(variant.path, frames, truth, lost)
    (outcome.guessed if only_guesses else outcome.faults).extend(differences)
    mended = "FFmpeg mended them" in verified.warning
    (outcome.guessed if only_guesses or mended else outcome.faults).extend(_clips(variant.path, frames, lost))
    return outcome


def _only_guesses(path: Path, frames: np.ndarray, truth: list[np.ndarray], lost: np.ndarray) -> bool:
    """Whether frames differ from the true ones only where these depend on what FFmpeg's buffers hold."""
    own = np.delete(frames, lost, axis=0)
    other = _bare(path, keep=True)
    if not len(own) == len(truth) == len(other):
        return False
    return all((a == b).all() or not (b == c).all() for a, b, c in zip(own, truth, other, strict=True))


def _bare(path: Path, *, keep: bool = False) -> list[np.ndarray]:
    """All frames that PyAV decodes: nothing of specvid, the slow and obvious way.

    Where references are lost, FFmpeg guesses from whatever its buffers hold; they hold something else where all decoded
    frames are kept.
    """
    import av

    frames: list[np.ndarray] = []
    kept: list[Any] = []
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream = container.streams.video[0]
            stream.thread_count = 1
            for packet in container.demux(stream):
                try:
                    decoded = packet.decode()
                except av.FFmpegError:
                    continue
                kept += decoded if keep else []
                for frame in decoded:
                    size = {"height": frames[0].shape[0], "width": frames[0].shape[1]} if frames else {}
                    frames.append(frame.to_ndarray(format="rgb24", interpolation="BILINEAR", **size))
    except Exception:  # not even opened: nothing decodes
        pass
    return frames


def _compare(frames: np.ndarray, truth: list[np.ndarray], lost: np.ndarray, warning: str) -> Iterator[str]:
    """What is wrong with all frames of a video: they must be the true ones in their order, but for the lost ones."""
    own = np.delete(np.arange(len(frames)), lost)
    if len(own) > len(truth):
        yield f"{len(own)} frames, PyAV has {len(truth)}"
        return
    if frames.shape[1:] == truth[0].shape:  # else rotated or scaled, which tests of their own look at
        moved = [int(i) for i, true in zip(own, truth, strict=False) if not (frames[i] == true).all()]
        if moved:
            yield f"{len(moved)} of {len(own)} frames are others than PyAV's, the first is {moved[0]}"
    if len(lost) and "cannot be decoded" not in warning:
        yield f"{len(lost)} frames are repeated without a word"


def _clips(path: Path, frames: np.ndarray, lost: np.ndarray) -> Iterator[str]:
    """Clips read by themselves: they must be those of the complete video, or fail where too much of them is lost."""
    from specvid.datasets.decode import MIN_READABLE, open_video
    from specvid.errors import VideoError

    for start in sorted({0, len(frames) // 3, max(0, len(frames) - _CLIP)}):
        clip = np.arange(start, min(len(frames), start + _CLIP))
        missing = int(np.isin(clip, lost).sum())
        must_fail = missing > (1 - MIN_READABLE) * len(clip) + 1e-9
        try:
            with open_video(path) as video:
                got = video.frames(clip)
                is_reported = "cannot be decoded" in video.warning
        except VideoError as error:
            if not must_fail:
                yield f"a clip at {start} fails, `data check` misses {missing} of its frames: {error}"
            continue
        if must_fail:
            yield f"a clip at {start} is read, `data check` misses {missing} of its frames"
        elif not (got == frames[clip]).all():
            yield f"a clip at {start} has other frames than the complete video"
        elif missing and not is_reported:
            yield f"a clip at {start} repeats {missing} frames without a word"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: its words; those of the process if None.

    Returns:
        The exit code; 1 where anything went wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m specvid.tools.data.sweep", description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path, help="real videos that the variants are made from")
    parser.add_argument("--out", type=Path, help="folder for the variants; a temporary one if not given")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        variants = make_variants(options.clips, options.out or Path(folder))
        outcomes = sweep(variants)
    print(as_table(variants, outcomes))
    for variant, outcome in zip(variants, outcomes, strict=True):
        for fault in outcome.faults:
            print(f"fault: {variant.path.name}: {fault}")
        if outcome.error and outcome.share >= 0.95:
            print(f"refused, though PyAV decodes {outcome.share:.0%}: {outcome.error}")
    return int(any(outcome.faults for outcome in outcomes))


if __name__ == "__main__":
    raise SystemExit(main())
