"""When the frames of a video are shown, in seconds from its first frame."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Timing:
    """An even rate, or a time for each frame.

    Args:
        fps: frames per second; the mean where the rate varies, 0 where it is unknown.
        times: (length,) float64, rising, s from the first frame, where frames are not evenly spaced.
    """

    fps: float = 0.0
    times: np.ndarray | None = None

    def start(self, frames: np.ndarray) -> np.ndarray:
        """When frames appear.

        Args:
            frames: (N,) numbers.

        Returns:
            (N,) float64, s; NaN where it is not known.
        """
        if self.times is not None:
            return self.times[frames]
        return frames / self.fps if self.fps > 0 else np.full(len(frames), np.nan)

    def end(self, frames: np.ndarray) -> np.ndarray:
        """When frames disappear: when the next one appears. The last one stays as long as the one before it.

        Args:
            frames: (N,) numbers.

        Returns:
            (N,) float64, s; NaN where it is not known.
        """
        if self.times is None:
            return self.start(np.asarray(frames) + 1)
        return np.append(self.times[1:], self.duration(len(self.times)))[frames]

    def duration(self, length: int) -> float:
        """How long a video is.

        Args:
            length: its frames.

        Returns:
            s; NaN where it is not known.
        """
        if self.times is None:
            return length / self.fps if self.fps > 0 else float("nan")
        stays = self.times[-1] - self.times[-2] if len(self.times) > 1 else 1 / self.fps if self.fps > 0 else 0.0
        return float(self.times[-1] + stays)
