"""Clips whose class is the direction in which a random picture moves: a single frame tells nothing."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

DIRECTIONS = {"down": (1, 0), "left": (0, -1), "right": (0, 1), "up": (-1, 0)}


def synthesize_tiny_motion(root: Path, *, train: int = 6, test: int = 3, frames: int = 6) -> Path:
    """``root/train|test/DIRECTION/NUMBER/*.png``: folders of frames of 64 x 48 px, 3 px a frame."""
    rng = np.random.default_rng(0)
    for part, count in (("train", train), ("test", test)):
        for name, (down, right) in DIRECTIONS.items():
            for clip in range(count):
                folder = root / part / name / f"{clip:02d}"
                folder.mkdir(parents=True)
                small = rng.integers(0, 256, (10, 12, 3), dtype=np.uint8)
                wide = cv2.resize(small, (104, 88), interpolation=cv2.INTER_CUBIC)
                for number in range(frames):
                    y, x = (20 - step * (3 * number - 8) for step in (down, right))
                    Image.fromarray(wide[y : y + 48, x : x + 64]).save(folder / f"{number:05d}.png")
    return root
