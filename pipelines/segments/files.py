"""Segments of video files: decoded once, by processes that run ahead, in memory that does not grow with length."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch

from specvid.pipelines.embed.config import WindowConfig
from specvid.pipelines.embed.feed import read_ahead
from specvid.pipelines.embed.inputs import Source
from specvid.pipelines.embed.reading import Chunk, Reader
from specvid.pipelines.embed.windows import WindowPlanner
from specvid.pipelines.segments.classifier import ClipClassifier
from specvid.pipelines.segments.config import SegmentConfig
from specvid.pipelines.segments.merging import Segment, SegmentMaker
from specvid.text import clock

Progress = Callable[[str, int, int], None]  # path, frames that are done, frames of the video


@dataclass(frozen=True)
class VideoEnd:
    """A video has no further segments.

    Attributes:
        path: the file.
        frames: of the video.
        film_s: how long it is, s; NaN where the frame rate is not known.
        seconds: how long it took.
        error: why it ended too early.
        warning: about frames that are taken more than once, or stand in for lost ones.
    """

    path: str
    frames: int = 0
    film_s: float = float("nan")
    seconds: float = 0.0
    error: str = ""
    warning: str = ""

    def __str__(self) -> str:
        hour = None if np.isnan(self.film_s) else timedelta(seconds=round(self.seconds / self.film_s * 3600))
        film = "" if hour is None else f" ({clock(self.film_s)})"
        rate = "" if hour is None else f", an hour of film in {hour}"
        warning = f"; {self.warning}" if self.warning else ""
        return f"{self.frames:,} frames{film} in {self.seconds:.1f} s{rate}{warning}"


def predict_segments(
    videos: Sequence[str | Path],
    classifier: ClipClassifier,
    config: SegmentConfig,
    *,
    top: int = 5,
    workers: int = 2,
    on_progress: Progress = lambda path, done, length: None,
) -> Iterator[tuple[str, Segment] | VideoEnd]:
    """Say what happens when in video files.

    Args:
        videos: files, or folders of images.
        classifier: the network.
        config: which windows, and how they are put together.
        top: how many classes of a window are named.
        workers: decoding processes, each with files of its own; 0 decodes right here.
        on_progress: called as a video goes on.

    Yields:
        (path, segment) as soon as the segment is complete, in the order of videos and of time; after those of a video
        its `VideoEnd`, which says what was wrong with it.

    Raises:
        ValueError: ``top`` is less than 1.
    """
    if top < 1:
        raise ValueError(f"top {top} must be at least 1.")
    reader = segment_reader(classifier, config)
    paths = [str(video) for video in videos]
    feed = read_ahead([Source(path, path) for path in paths], reader, workers=workers)
    for path in paths:
        begun = time.monotonic()
        maker, end, known = None, Chunk(), Chunk()
        for first, last, probabilities, chunk in _windows(feed, classifier, reader):
            if maker is None:
                known = chunk
                maker = SegmentMaker(classifier.classes, chunk.timing, classifier.rule(config), top)
            if probabilities is None:
                end = chunk
                break
            yield from ((path, segment) for segment in maker.add(first, last, probabilities))
            on_progress(path, last + 1, known.length)
        if maker is not None:
            yield from ((path, segment) for segment in maker.close())
        warnings = [
            text for text in (end.warning, classifier.spec.shortage(known.length) if known.length else "") if text
        ]
        film = known.timing.duration(known.length) if known.length else float("nan")
        took = time.monotonic() - begun
        yield VideoEnd(path, known.length, film, took, end.error, "; ".join(warnings))


def segment_reader(classifier: ClipClassifier, config: SegmentConfig) -> Reader:
    """What cuts videos into the clips of windows.

    Args:
        classifier: says which clips it takes.
        config: which windows.

    Returns:
        The reader.
    """
    windows = WindowConfig(window="sliding", length=config.length, every=config.every, fps=config.fps)
    return Reader(WindowPlanner(windows, classifier.spec))


def _windows(
    feed: Iterator[tuple[int, Chunk]], classifier: ClipClassifier, reader: Reader
) -> Iterator[tuple[int, int, np.ndarray | None, Chunk]]:
    """First and last frame, probabilities and first chunk of each window of a video; then None and its last chunk.

    Clips of several windows go through the network together, never those of several videos.
    """
    plan, opening, number = None, Chunk(), 0
    clips: list[torch.Tensor] = []
    waiting: deque[np.ndarray] = deque()
    for _, chunk in feed:
        if chunk.clips is not None:
            if plan is None:
                opening, plan = chunk, reader.planner.plan(chunk.length, chunk.timing)
                counts = np.bincount(plan.window, minlength=len(plan.first)).tolist()
                opening = Chunk(None, chunk.length, chunk.timing)
            clips += chunk.clips
        while clips and (len(clips) >= classifier.compute.batch_size or chunk.last):
            size = classifier.compute.batch_size
            waiting.extend(classifier(torch.stack(clips[:size])))
            del clips[:size]
        while plan is not None and number < len(counts) and len(waiting) >= counts[number]:
            logits = np.stack([waiting.popleft() for _ in range(counts[number])])
            yield int(plan.first[number]), int(plan.last[number]), classifier.probabilities(logits), opening
            number += 1
        if chunk.last:
            yield 0, 0, None, chunk
            return
