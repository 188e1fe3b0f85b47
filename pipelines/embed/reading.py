"""From an input to its clips, in chunks: one pass through the file, however long, in bounded memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from specvid.datasets.clips.motion import open_clips
from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.clips.transforms import crop_places
from specvid.datasets.decode import Timing, Video
from specvid.datasets.decode.picture import resized_size
from specvid.errors import VideoError
from specvid.pipelines.embed.inputs import Source
from specvid.pipelines.embed.windows import WindowPlanner

_CHUNK_BYTES = 8 * 2**20  # of clips that travel together


@dataclass
class Chunk:
    """Some clips of an input, in their order.

    Attributes:
        clips: uint8 (n, T, h, w, C); None with an error.
        length: frames of the video.
        timing: when its frames are shown; with the first and the last chunk.
        warning: about lost or repaired frames; with the last chunk, as what follows.
        of_tracklet: the input is a tracklet; with every chunk.
        lost: which of them are others in place of lost ones, and why.
        last: the input ends with this chunk.
        error: why the input is lost, whatever came before.
        counted: bool (n, T), which frames of the clips count; None: all.
    """

    clips: torch.Tensor | None = None
    length: int = 0
    timing: Timing = field(default_factory=Timing)
    warning: str = ""
    lost: str = ""
    last: bool = False
    error: str = ""
    of_tracklet: bool = False
    counted: np.ndarray | None = None


@dataclass(frozen=True)
class Reader:
    """Cuts inputs into clips as a network wants them: resized, centre-cropped, not normalised.

    Args:
        planner: the windows, and the clips that the network takes.
        every_crop: of tracklets each image is seen, whatever the stride (see `Network.every_crop`).
        each_once: of tracklets each image that is seen counts once in its window, as networks of images can do it.
    """

    planner: WindowPlanner
    every_crop: bool = False
    each_once: bool = False

    def planner_of(self, *, tracklet: bool) -> WindowPlanner:
        """What cuts an input into windows.

        Args:
            tracklet: whether it is the images of a tracklet.

        Returns:
            The planner.
        """
        crops = self.every_crop and tracklet
        return replace(self.planner, spec=replace(self.spec, stride=1)) if crops else self.planner

    @property
    def spec(self) -> ClipSpec:
        """The clips that the network takes, and what decodes them."""
        return self.planner.spec

    def import_all(self) -> None:
        """Import what reading takes, which happens at the first file otherwise."""
        import av.subtitles.stream  # which opening a container imports
        import numpy.ma

        from specvid.datasets.decode import check_decoder, pyav, resizing
        from specvid.datasets.decode import images as tracklet_frames

        assert av and numpy and resizing and pyav and tracklet_frames
        check_decoder(self.spec.decoder)

    def open(self, path: str, files: Sequence[str] = ()) -> Video:
        """Open a video file, a folder of images, or images, as what the network sees of it.

        Args:
            path: of the file or folder; the first one of images.
            files: the images of a tracklet, in their order.

        Returns:
            A context manager.

        Raises:
            VideoError: it cannot be opened.
        """
        fps = self.planner.config.fps or 0.0
        return open_clips(path, self.spec, files=files, folder_fps=fps)

    def chunks(self, source: Source) -> Iterator[Chunk]:
        """The clips of an input; never raises because of a file.

        Args:
            source: the input.

        Yields:
            Chunks in order; where the file cannot be used, the last one says why.
        """
        try:
            if source.problem:
                raise VideoError(source.path, source.problem)
            with self.open(source.path, source.files) as video:
                tracklet = bool(source.files)
                planner = self.planner_of(tracklet=tracklet)
                for chunk in self.clips_of(video, planner, each_once=self.each_once and tracklet):
                    yield replace(chunk, of_tracklet=tracklet)
        except VideoError as error:
            yield Chunk(last=True, error=error.reason)
        except Exception as error:  # whatever a file makes a decoder do: it is named, and the others go on
            text = " ".join(str(error).split())
            yield Chunk(last=True, error=text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}")

    def clips_of(
        self, video: Video, planner: WindowPlanner | None = None, *, each_once: bool = False
    ) -> Iterator[Chunk]:
        """The clips of an open video.

        Args:
            video: the video.
            planner: another one than the reader's.
            each_once: of a window each frame counts once.

        Yields:
            Chunks in order.

        Raises:
            VideoError: it cannot be decoded.
        """
        length = len(video)
        plan = (planner or self.planner).plan(length, video.timing)
        clips_ct, counted_ct = plan.clips, plan.first_sights() if each_once else None
        height, width = self.spec.crop
        frames = clips_ct.shape[1]
        channels = self.spec.channels
        per_chunk = max(1, _CHUNK_BYTES // (frames * height * width * channels))
        # What a clip still needs of what was decoded: nothing before the smallest frame of any clip yet to come.
        needed_from = np.minimum.accumulate(clips_ct.min(1)[::-1])[::-1]
        decoded: dict[int, np.ndarray] = {}
        blocks = self._decode(video, np.unique(clips_ct))
        for start in range(0, len(clips_ct), per_chunk):
            part = clips_ct[start : start + per_chunk]
            clips = torch.empty(len(part), frames, height, width, channels, dtype=torch.uint8)
            for number, (indices, out) in enumerate(zip(part.tolist(), clips.numpy(), strict=True), start=start):
                while max(indices) not in decoded:
                    decoded.update(next(blocks))
                for place, index in enumerate(indices):
                    out[place] = decoded[index]
                done = needed_from[number + 1] if number + 1 < len(clips_ct) else length
                for index in [index for index in decoded if index < done]:
                    del decoded[index]
            counted = None if counted_ct is None else counted_ct[start : start + per_chunk]
            if start + per_chunk < len(clips_ct):
                yield Chunk(clips, length, Timing() if start else video.timing, counted=counted)
            else:
                yield Chunk(clips, length, video.timing, video.warning, video.stand_ins, last=True, counted=counted)

    def _decode(self, video: Video, needed: np.ndarray) -> Iterator[dict[int, np.ndarray]]:
        """Frames ``needed`` (rising), cut out: {number: uint8 (h, w, C)}."""
        for number, frame in zip(needed.tolist(), video.stream(needed), strict=True):
            yield {number: crop_frames(frame[None], self.spec)[0]}


def crop_frames(frames: np.ndarray, spec: ClipSpec) -> np.ndarray:
    """Resize frames and cut out the centre, as `test_transform` does.

    Args:
        frames: uint8 (T, H, W, C).
        spec: sizes before and after the crop.

    Returns:
        uint8 (T, h, w, C).
    """
    from specvid.datasets.decode.resizing import check_fit, cut_and_resize

    full = frames.shape[1], frames.shape[2]
    resized = resized_size(full, spec.resize)
    height, width = spec.crop
    check_fit(resized, (height, width))
    frames = cut_and_resize(frames, (0, 0, *full), resized, spec.interpolation)
    ((y, x),) = crop_places(*resized, (height, width), 1)
    return frames[:, y : y + height, x : x + width]
