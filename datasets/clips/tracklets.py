"""From tracklets to clips: the two torch data sets that re-ID training and testing read.

As for videos (`specvid.datasets.clips.videos`): everything random about training sample (epoch, i) comes from
``default_rng([seed, epoch, i])``, and no exception leaves a worker because of a file: it comes back as ``"error"``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from specvid.datasets.clips.guard import ReadingGuard
from specvid.datasets.clips.sampling import chunks_of, uniform_segments
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.videos import Transform
from specvid.datasets.decode.images import read_frames, stack
from specvid.datasets.layouts.reid_set import Tracklet
from specvid.errors import VideoError

_REPLACEMENTS = 20  # unreadable tracklets in a row before a training sample gives up


class TrainTracklets(Dataset[dict[str, Any]]):
    """Training clips, indexed by ``(epoch, i)`` as `IdentitySampler` yields them.

    Restricted random sampling (Li et al., CVPR 2018, arXiv:1803.09882): the tracklet is cut into ``frames`` equal
    parts, and one frame is drawn from each; a tracklet with fewer frames gives some of them more than once.

    An item: ``video`` float32 (3, T, H, W), ``label`` int, ``index`` int (the tracklet that was read), ``error`` str.
    For an unreadable frame another one of the tracklet stands in, for an unreadable tracklet another one of the same
    person if there is one; ``error`` then names every file that failed and why.

    Args:
        tracklets: what to read.
        labels: (N,) class of each tracklet.
        spec: length of the clip, and the size that frames of different sizes are brought to.
        transform: from `train_transform`.
        seed: of everything random.
        twins: an item has two clips of its tracklet instead of one, each drawn and transformed by itself: ``video`` is
            float32 (2, 3, T, H, W).

    Raises:
        ValueError: no tracklets, or another number of labels.
    """

    def __init__(
        self,
        tracklets: Sequence[Tracklet],
        labels: Sequence[int] | np.ndarray,
        spec: ClipSpec,
        *,
        transform: Transform,
        seed: int = 0,
        twins: bool = False,
    ) -> None:
        if not tracklets or len(labels) != len(tracklets):
            raise ValueError(f"{len(tracklets)} tracklets and {len(labels)} labels: expected as many of both, not none")
        _require_rgb(spec)
        self.tracklets, self.labels = tracklets, np.asarray(labels)
        self.spec, self.transform, self.seed, self.twins = spec, transform, seed, twins
        self.guard = ReadingGuard()

    def __len__(self) -> int:
        return len(self.tracklets)

    def __getitem__(self, key: tuple[int, int]) -> dict[str, Any]:
        epoch, index = key
        rng = np.random.default_rng([self.seed, epoch, index])
        errors: list[str] = []
        for _ in range(_REPLACEMENTS):
            try:
                with self.guard.reading(index, self.tracklets[index].path(0)):
                    frames, failed = self._read(self.tracklets[index], rng)
            except VideoError as error:
                frames, failed = None, [str(error)]
            errors += failed
            if frames is not None:
                clips = [self.transform(own, rng) for own in np.split(frames, 1 + self.twins)]
                video = torch.stack(clips) if self.twins else clips[0]
                return {"video": video, "label": int(self.labels[index]), "index": index, "error": "\n".join(errors)}
            index = self._other(index, rng)
        raise ValueError(
            f"{_REPLACEMENTS} tracklets in a row cannot be read, the last ones: {'; '.join(errors[-3:])}. "
            "Check the data: `specvid data check`."
        )

    def _read(self, tracklet: Tracklet, rng: np.random.Generator) -> tuple[np.ndarray | None, list[str]]:
        """The drawn frames, uint8 (T, H, W, 3), and the errors; None where no frame can be read."""
        drawn = [uniform_segments(len(tracklet), self.spec.frames, rng) for _ in range(1 + self.twins)]
        indices = np.concatenate(drawn)
        frames, errors = read_frames(tracklet, indices.tolist())
        good = [i for i, frame in enumerate(frames) if frame is not None]
        if not good:
            # None of the drawn ones: any other frame will do, in random order.
            for index in rng.permutation(len(tracklet)).tolist():
                if index not in indices:
                    (frame,), failed = read_frames(tracklet, [index])
                    errors += failed
                    if frame is not None:
                        return np.repeat(frame[None], len(indices), axis=0), errors
            return None, errors
        nearest = [min(good, key=lambda other: abs(other - i)) for i in range(len(frames))]
        readable = [frame for frame in (frames[i] for i in nearest) if frame is not None]
        return stack(readable, self.spec.frame_size, self.spec.interpolation), errors

    def _other(self, index: int, rng: np.random.Generator) -> int:
        """Another tracklet of the same person; of anybody where there is none."""
        same = np.flatnonzero(self.labels == self.labels[index])
        same = same[same != index]
        return int(rng.choice(same)) if len(same) else int(rng.integers(len(self.tracklets)))


class TestChunks(Dataset[dict[str, Any]]):
    """All chunks of all tracklets (`chunks_of`), indexed by ``i``; always the same.

    ``tracklet``: (chunks,) int64, whose chunk it is. Memory is one chunk at a time, however long a tracklet.

    An item: ``video`` float32 (3, T, H, W), ``mask`` bool (T,), True = a frame that counts, ``tracklet`` int, ``error``
    str. Unreadable frames do not count, another frame of the chunk fills their place; ``error`` names them. A chunk
    without any readable frame is black, and its mask is False throughout.

    Args:
        tracklets: what to read.
        spec: length of a chunk, and the size that frames of different sizes are brought to.
        transform: from `test_transform`, one crop.
        sampling: which frames of a tracklet are tested, one of `TEST_SAMPLINGS`.
    """

    __test__ = False  # not a test, whatever pytest thinks of its name

    def __init__(
        self, tracklets: Sequence[Tracklet], spec: ClipSpec, *, transform: Transform, sampling: str = "all"
    ) -> None:
        _require_rgb(spec)
        self.tracklets, self.spec, self.transform, self.sampling = tracklets, spec, transform, sampling
        counts = [len(chunks_of(len(tracklet), spec.frames, sampling)[0]) for tracklet in tracklets]
        self.tracklet = np.repeat(np.arange(len(tracklets)), counts)
        self.guard = ReadingGuard()
        self._number = np.arange(len(self.tracklet)) - np.repeat(np.cumsum(counts) - counts, counts)

    def __len__(self) -> int:
        return len(self.tracklet)

    def __getitem__(self, index: int) -> dict[str, Any]:
        which, number = int(self.tracklet[index]), int(self._number[index])
        tracklet = self.tracklets[which]
        indices, valid = (array[number] for array in chunks_of(len(tracklet), self.spec.frames, self.sampling))
        try:
            with self.guard.reading(index, tracklet.path(int(indices[0]))):
                frames, errors = read_frames(tracklet, indices.tolist())
        except VideoError as error:
            frames, errors = [None] * len(indices), [str(error)]
        good = [i for i, frame in enumerate(frames) if frame is not None]
        mask = valid & np.array([frame is not None for frame in frames])
        filler: Any = frames[good[0]] if good else np.zeros((*self.spec.frame_size, 3), np.uint8)
        filled: list[np.ndarray] = [filler if frame is None else frame for frame in frames]
        clip = stack(filled, self.spec.frame_size, self.spec.interpolation)
        video = self.transform(clip, None)[0]
        return {"video": video, "mask": torch.from_numpy(mask), "tracklet": which, "error": "\n".join(errors)}


def _require_rgb(spec: ClipSpec) -> None:
    if spec.modality != "rgb":
        raise ValueError(f"modality {spec.modality!r}: frames of tracklets are read for networks of RGB alone.")
