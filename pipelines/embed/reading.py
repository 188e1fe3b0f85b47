"""From an input to its clips, in pieces: one pass through the file, however long, in bounded memory."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from specvid.datasets.clips.transforms import crop_places
from specvid.datasets.decode import open_video
from specvid.datasets.decode.images import read_frame
from specvid.errors import VideoError
from specvid.models.spec import InputSpec
from specvid.pipelines.embed.sources import Source
from specvid.pipelines.embed.windows import Windows

_PIECE_BYTES = 8 * 2**20  # of clips that travel together


@dataclass
class Piece:
    """Some clips of an input in their order: ``clips`` uint8 (n, T, h, w, 3). ``length`` (frames) and ``fps`` of the
    video come with each piece; ``last`` ends the input. With an ``error`` the input is lost, whatever came before.
    """

    clips: torch.Tensor | None = None
    length: int = 0
    fps: float = 0.0
    last: bool = False
    error: str = ""


@dataclass(frozen=True)
class Reader:
    """Cuts inputs into clips as a network's ``spec`` wants them (resized, centre-cropped, not normalised)."""

    spec: InputSpec
    windows: Windows
    decoder: str = "decord"

    def import_all(self) -> None:
        """Import what reading takes, which happens at the first file otherwise. No file is opened: decord's readers
        must not cross a fork."""
        import av

        from specvid.datasets.clips import resizing
        from specvid.datasets.decode import check_decoder, has_decord
        from specvid.datasets.decode import images as tracklet_frames

        assert av and resizing and tracklet_frames
        check_decoder(self.decoder)
        if self.decoder == "decord":
            has_decord()

    def pieces(self, source: Source) -> Iterator[Piece]:
        """The clips of an input. Never raises because of a file: the last piece then says what is wrong."""
        try:
            if source.problem:
                raise VideoError(source.path, source.problem)
            if os.path.isdir(source.path):
                yield from self.clips_of(ImageSequence(source.path, self.windows.choice.fps))
            else:
                with open_video(source.path, self.decoder) as video:
                    yield from self.clips_of(video)
        except VideoError as error:
            yield Piece(last=True, error=error.reason)
        except Exception as error:  # whatever a file makes a decoder do: it is named, and the others go on
            text = " ".join(str(error).split())
            yield Piece(last=True, error=text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}")

    def clips_of(self, video: Any) -> Iterator[Piece]:
        """The clips of an open video, or of an `ImageSequence`. Raises as decoders do."""
        length, fps = len(video), float(video.fps)
        clips_ct = self.windows.plan(length, fps).clips
        height, width = self.spec.crop
        frames = clips_ct.shape[1]
        per_piece = max(1, _PIECE_BYTES // (frames * height * width * 3))
        # What a clip still needs of what was decoded: nothing before the smallest frame of any clip yet to come.
        keep_from = np.minimum.accumulate(clips_ct.min(1)[::-1])[::-1]
        decoded: dict[int, np.ndarray] = {}
        coming = self._decode(video, np.unique(clips_ct))
        for start in range(0, len(clips_ct), per_piece):
            part = clips_ct[start : start + per_piece]
            clips = torch.empty(len(part), frames, height, width, 3, dtype=torch.uint8)
            for number, (indices, out) in enumerate(zip(part.tolist(), clips.numpy(), strict=True), start=start):
                while max(indices) not in decoded:
                    decoded.update(next(coming))
                for place, index in enumerate(indices):
                    out[place] = decoded[index]
                done = keep_from[number + 1] if number + 1 < len(clips_ct) else length
                for index in [index for index in decoded if index < done]:
                    del decoded[index]
            yield Piece(clips, length, fps, last=start + per_piece >= len(clips_ct))

    def _decode(self, video: Any, needed: np.ndarray) -> Iterator[dict[int, np.ndarray]]:
        """Frames ``needed`` (rising), cut out: {number: uint8 (h, w, 3)}."""
        for number, frame in zip(needed.tolist(), video.stream(needed), strict=True):
            yield {number: crop_frames(frame[None], self.spec)[0]}


def crop_frames(frames: np.ndarray, spec: InputSpec) -> np.ndarray:
    """Resize to ``spec.resize``, cut out the centre, as `test_transform` does: uint8 (T, H, W, 3) -> (T, h, w, 3)."""
    from specvid.datasets.clips.resizing import check_fit, cut_and_resize, resized_size

    full = frames.shape[1], frames.shape[2]
    resized = resized_size(full, spec.resize)
    height, width = spec.crop
    check_fit(resized, (height, width))
    frames = cut_and_resize(frames, (0, 0, *full), resized)
    ((y, x),) = crop_places(*resized, (height, width), 1)
    return frames[:, y : y + height, x : x + width]


class ImageSequence:
    """Images as a video: all in a folder, in the order of the numbers in their names, or the files given."""

    def __init__(self, folder: str, fps: float, files: Sequence[str] = ()) -> None:
        from specvid.datasets.layouts.media import IMAGES
        from specvid.datasets.layouts.reid_set import in_order

        self.folder, self.fps, self.names = folder, fps, tuple(files)
        if not files:
            try:
                names = [entry.name for entry in os.scandir(folder)]
            except OSError as error:
                raise VideoError(folder, f"cannot be listed ({error.strerror})") from None
            self.names = in_order([name for name in names if os.path.splitext(name)[1].lower() in IMAGES])
        if not self.names:
            raise VideoError(folder, "is a folder without images in it (.png, .jpg, .bmp)")

    def __len__(self) -> int:
        return len(self.names)

    def stream(self, needed: np.ndarray) -> Iterator[np.ndarray]:
        """Frames ``needed``, one by one, each uint8 (H, W, 3)."""
        for index in needed.tolist():
            try:
                yield read_frame(os.path.join(self.folder, self.names[index]))
            except VideoError as error:
                raise VideoError(self.folder, f"frame {self.names[index]}: {error.reason}") from None
