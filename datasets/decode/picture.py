"""A decoded frame as the picture that a player shows: RGB, upright, with square pixels."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

# libswscale's flags: which filter; colours at the full width of the picture, not at half of it
_BILINEAR, _AREA = 0x2, 0x20 | 0x2000


@dataclass(frozen=True)
class Shape:
    """How the frames of one video become pictures: the first frame decides for all.

    Args:
        height: px that every frame is scaled to, in the orientation in which it is stored.
        width: likewise; it includes the aspect ratio of the pixels.
        turn: the upper left 2 x 2 part of the display matrix, signs only, row by row: (1, 0, 0, 1) is upright.
        scaled: FFmpeg's flags of how frames of another size are scaled.
    """

    height: int
    width: int
    turn: tuple[int, int, int, int] = (1, 0, 0, 1)
    scaled: int = _BILINEAR

    @property
    def shown(self) -> tuple[int, int]:
        """Height and width of the picture, px."""
        return (self.height, self.width) if self.turn[0] else (self.width, self.height)

    def reduced(self, resize: int | tuple[int, int] | None) -> "Shape":
        """The shape of smaller pictures.

        Args:
            resize: length of the short side in px, or (height, width), as shown; None: as they are.

        Returns:
            It; this one where a side would be enlarged.
        """
        if resize is None or not is_reduced(self.shown, size := resized_size(self.shown, resize)):
            return self
        height, width = size if self.turn[0] else size[::-1]
        return replace(self, height=height, width=width, scaled=_AREA)


def resized_size(full: tuple[int, int], resize: int | tuple[int, int]) -> tuple[int, int]:
    """Size of a frame after resizing.

    Args:
        full: (height, width) of the frame in px.
        resize: Length of the short side in px, or (height, width).

    Returns:
        (height, width) in px.
    """
    if isinstance(resize, tuple):
        return resize
    factor = resize / min(full)
    return max(resize, round(full[0] * factor)), max(resize, round(full[1] * factor))


def is_reduced(full: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether a size is smaller than another, and no side larger.

    Args:
        full: (height, width).
        size: likewise, of what is made of it.
    """
    return size != full and size[0] <= full[0] and size[1] <= full[1]


def shape_of(frame: Any, pixel_aspect: Any) -> Shape:
    """The shape of the pictures of a video.

    Args:
        frame: PyAV's first frame.
        pixel_aspect: width of a pixel divided by its height (a fraction); None or 0 where it is unknown.
    """
    width = frame.width
    if pixel_aspect and 1 / 16 <= pixel_aspect <= 16 and abs(pixel_aspect - 1) > 0.01:
        width = max(1, round(width * pixel_aspect))
    return Shape(frame.height, width, _turn(frame))


def _turn(frame: Any) -> tuple[int, int, int, int]:
    """The display matrix of a frame, brought to quarter turns and mirrorings; any other angle stays as it is."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].astype(float)  # 16.16 fixed point
            largest = max(abs(a), abs(b), abs(c), abs(d))
            signs = tuple(int(np.sign(value)) if abs(value) > 0.98 * largest else 0 for value in (a, b, c, d))
            if signs in _TURNS:
                return signs
    return (1, 0, 0, 1)


# (a, b, c, d): a stored point (x, y) is shown at (a x + c y, b x + d y)
_TURNS = {(i, 0, 0, j) for i in (1, -1) for j in (1, -1)} | {(0, i, j, 0) for i in (1, -1) for j in (1, -1)}


@cache
def _one_thread() -> dict[str, int]:
    """Options of a conversion. Newer PyAV converts in threads of its own; a process that is forked while such a frame
    still lies about waits for ever when it throws that away."""
    import av

    return {"threads": 1} if "threads" in (av.VideoFrame.reformat.__doc__ or "") else {}


def to_rgb(frame: Any, shape: Shape, converter: Any) -> np.ndarray:
    """A decoded frame as RGB, turned and scaled.

    Args:
        frame: PyAV's.
        shape: of the picture.
        converter: PyAV's `VideoReformatter`, one for all frames: making it takes longer than a small picture does.

    Returns:
        uint8 (H, W, 3), contiguous.
    """
    if (frame.height, frame.width) == (shape.height, shape.width):
        picture = converter.reformat(frame, format="rgb24", **_one_thread()).to_ndarray()
    else:
        size = {"height": shape.height, "width": shape.width, "interpolation": shape.scaled}
        picture = converter.reformat(frame, format="rgb24", **size, **_one_thread()).to_ndarray()
    if shape.turn == (1, 0, 0, 1):
        return picture
    a, b, c, d = shape.turn
    if not a:
        picture, a, d = picture.transpose(1, 0, 2), c, b  # after it: x along the old y
    return np.ascontiguousarray(picture[::d, ::a])
