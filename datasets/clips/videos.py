"""From records to clips: the two torch data sets that training and testing read.

Everything random about training sample (epoch, i) comes from ``default_rng([seed, epoch, i])``, so it depends neither
on the number of workers nor on where a run was resumed. No exception leaves a worker because of a file: it comes back
as ``"error"``.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from specvid.datasets.clips.guard import ReadingGuard
from specvid.datasets.clips.motion import open_clips
from specvid.datasets.clips.spans import frames_of, overrun
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.decode import Video
from specvid.datasets.layouts.action_set import VideoRecord
from specvid.errors import VideoError
from specvid.text import path_on_one_line

Transform = Callable[[np.ndarray, np.random.Generator | None], torch.Tensor]

_REPLACEMENTS = 20  # unreadable clips in a row before a training sample gives up


class TrainClips(Dataset[dict[str, Any]]):
    """Training clips, indexed by ``(epoch, i)`` as `EpochSampler` yields them.

    An item: ``video`` float32 (C, T, H, W), ``label`` int (float32 (classes,) of zeros and ones where clips may have
    several classes), ``index`` int (the record that was read), ``weight`` float32 where weights differ, ``error`` str,
    ``repeated`` str (file and reason where frames come more than once: the video is shorter than the clip, or frames
    are lost and the nearest ones stand in), ``unusual`` str (file and what is not as its header or the list announces).
    An unreadable clip is replaced by another one, drawn by the same generator; ``error`` then names every file that
    failed and why, so the loop can warn and count.

    Args:
        records: clips to read.
        spec: which frames make a clip, and how they are decoded.
        transform: from `train_transform`.
        seed: of everything random.
        classes: how many there are, where a clip may have several; 0 where each has one.
        twins: an item has two clips of its video instead of one, each drawn and transformed by itself: ``video`` is
            float32 (2, C, T, H, W).

    Raises:
        ValueError: no records, or weights that are all 0.
    """

    def __init__(
        self,
        records: Sequence[VideoRecord],
        spec: ClipSpec,
        *,
        transform: Transform,
        seed: int = 0,
        classes: int = 0,
        twins: bool = False,
    ) -> None:
        _check(records)
        self.records, self.spec, self.transform, self.seed, self.classes = records, spec, transform, seed, classes
        self.twins = twins
        weights = np.array([record.weight for record in records])
        if not weights.any():
            raise ValueError("weights are 0 for all clips: at least one must count.")
        # Of mean 1, so that the rate of learning does not depend on their unit.
        self.weights = None if (weights == weights[0]).all() else weights / weights.mean()
        self.guard = ReadingGuard()

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        _one_thread_per_worker()
        epoch, index = key
        rng = np.random.default_rng([self.seed, epoch, index])
        errors: list[str] = []
        for _ in range(_REPLACEMENTS):
            record = self.records[index]
            try:
                with self.guard.reading(index, record.path):
                    frames, repeated, unusual = self._read(record, rng)
            except VideoError as error:
                errors.append(str(error))
                index = int(rng.integers(len(self.records)))
                continue
            clips = [_apply(self.transform, own, rng, record) for own in np.split(frames, 1 + self.twins)]
            item = {
                "video": torch.stack(clips) if self.twins else clips[0],
                "label": self._target(record),
                "index": index,
                "error": "\n".join(errors),
                "repeated": repeated and f"{path_on_one_line(record.path)}: {repeated}",
                "unusual": unusual and f"{path_on_one_line(record.path)}: {unusual}",
            }
            if self.weights is not None:
                item["weight"] = torch.tensor(self.weights[index], dtype=torch.float32)
            return item
        raise ValueError(
            f"{_REPLACEMENTS} clips in a row cannot be read, the last ones: {'; '.join(errors[-3:])}. "
            "Check the data: `specvid data check`."
        )

    def _target(self, record: VideoRecord) -> int | torch.Tensor:
        if not self.classes:
            return record.label
        target = torch.zeros(self.classes)
        target[list(record.labels)] = 1
        return target

    def _read(self, record: VideoRecord, rng: np.random.Generator) -> tuple[np.ndarray, str, str]:
        with open_clips(record.path, self.spec) as video:
            first, length = frames_of(video, record)
            drawn = [self.spec.train_frames(length, rng) for _ in range(1 + self.twins)]
            frames = video.frames(first + np.concatenate(drawn))
            return frames, _repeated(video, self.spec, length), _unusual(video, record)


class TestViews(Dataset[dict[str, Any]]):
    """Test views: V = clips x crops of each record, indexed by ``i``; always the same.

    An item: ``video`` float32 (V, C, T, H, W), crop fastest; ``label``, ``index`` int; ``error``, ``repeated``,
    ``unusual`` str. An unreadable clip has its ``error`` set and a video of zeros: it counts as wrong, and is never
    dropped. ``repeated``: why frames come more than once, and ``unusual``: what is not as header or list announce, as
    in `TrainClips`, but without the name of the file.

    Args:
        records: clips to read.
        spec: which frames make a clip, and how they are decoded.
        transform: from `test_transform`, it makes the crops.
        clips: dense clips spread evenly over the video; with ``segments`` sampling there is one, made of the middles
            of the parts.

    Raises:
        ValueError: no records, or more than one clip with ``segments`` sampling.
    """

    __test__ = False  # not a test, whatever pytest thinks of its name

    def __init__(self, records: Sequence[VideoRecord], spec: ClipSpec, *, transform: Transform, clips: int = 1) -> None:
        _check(records)
        if clips < 1 or (spec.sampling == "segments" and clips != 1):
            raise ValueError(
                f"clips = {clips} with {spec.sampling} sampling: expected at least 1, and exactly 1 for segments."
            )
        self.records, self.spec, self.transform, self.clips = records, spec, transform, clips
        self.guard = ReadingGuard()

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> dict[str, Any]:
        _one_thread_per_worker()
        record, error, repeated, unusual = self.records[index], "", "", ""
        try:
            with self.guard.reading(index, record.path):
                clips, repeated, unusual = self._read(record)
        except VideoError as failure:
            error = str(failure)
            # Black frames of any size pass through the transform to learn the shape of a view.
            clips = [np.zeros((self.spec.frames, *self.spec.crop, self.spec.channels), dtype=np.uint8)] * self.clips
        views = torch.cat([_apply(self.transform, clip, None, record) for clip in clips])
        if error:
            views.zero_()
        remarks = {"error": error, "repeated": repeated, "unusual": unusual}
        return {"video": views, "label": record.label, "index": index, **remarks}

    def _read(self, record: VideoRecord) -> tuple[list[np.ndarray], str, str]:
        with open_clips(record.path, self.spec) as video:
            first, length = frames_of(video, record)
            indices = first + self.spec.test_frames(length, self.clips)
            frames = video.frames(indices.reshape(-1))  # one pass through the file for all clips
            repeated, unusual = _repeated(video, self.spec, length), _unusual(video, record)
        return list(frames.reshape(*indices.shape, *frames.shape[1:])), repeated, unusual


def _repeated(video: Video, spec: ClipSpec, length: int) -> str:
    """Why clips read from ``length`` frames of a video have frames more than once; empty where they do not."""
    return "; ".join(filter(None, [spec.shortage(length), video.stand_ins]))


def _unusual(video: Video, record: VideoRecord) -> str:
    """What of a clip is not as the file's header or the list announces."""
    return "; ".join(filter(None, [video.unusual, overrun(video, record)]))


def _apply(
    transform: Transform, frames: np.ndarray, rng: np.random.Generator | None, record: VideoRecord
) -> torch.Tensor:
    """``transform(frames, rng)``; an error in it names the file."""
    try:
        return transform(frames, rng)
    except Exception as error:
        raise ValueError(f"{record.path}: {error}") from error


def _one_thread_per_worker() -> None:
    """OpenCV's threads do not survive the fork that makes a worker, and the workers fill the cores anyway."""
    if get_worker_info() is not None:
        import cv2

        cv2.setNumThreads(0)


def _check(records: Sequence[VideoRecord]) -> None:
    if not records:
        raise ValueError("records is empty: a data set needs at least one clip.")
