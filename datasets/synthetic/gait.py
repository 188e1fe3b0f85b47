"""The task of the synthetic re-ID sets: people who are known by their gait alone, and by no single frame of it.

A walker's arms are spots that glide through a band along the top of the picture, the legs spots that glide through
another one along the bottom. The arms glide in a random direction, another one in each tracklet; the legs glide in a
direction that is turned from it by the walker's own *angle*, to the one side or to the other. That angle, between 0 and
180 degrees, is the person. Where the spots are is random too.

Why a network needs to relate far-apart places:

- One frame shows where the spots are, and that is random wherever they go: it says nothing about anything.
- Arms and legs are ``gap`` px apart. A local feature sees the arms or the legs, and with the directions of the arms
  drawn evenly, those of the legs are even too. So for a network whose features see no more than ``gap`` px, pooled by a
  mean, an embedding is f(arms) + g(legs), and its mean over all directions of the arms is the same for every person. By
  convexity a linear classifier's mean cross-entropy over them is at least that of guessing, log(identities): there is
  nothing to learn, not even about the tracklets that are trained on. (`tests/datasets/synthetic/test_reid.py`.)

Why it can be learned, and for people who were never seen: a person is one continuous number, and the people to test on
have angles between those of the people to train on (`parts`). The first thing to find is that arms and legs go
more or less the same way, and everything else is a finer view of that. People made of several yes-or-no relations (the
legs of each colour go with the arms, or against them) would be more in number, and compose; but there each relation has
to be found from nothing, and the small network finds a first one within minutes and then no other.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Gait:
    """How tracklets look. Lengths in px, ``speed`` in px / frame, brightness on a scale from black 0 to white 1."""

    identities: int = 15
    """How many there are; their angles are spread evenly between 0 and 180 degrees."""
    frames: int = 16
    width: int = 20
    band: int = 12
    """Height of the band of arms, and of that of legs."""
    radius: float = 4.0
    """Of a spot."""
    stride: int = 10
    """From one spot to the next, across and down."""
    speed: float = 1.0
    gap: int = 20
    """Between the bands: no pixel that an arm ever touches is nearer than this to one that a leg touches."""
    ground: float = 0.1
    """Brightness of the picture without anybody."""
    light: float = 0.8
    """Added to it in the middle of a spot."""
    noise: float = 0.01
    """Standard deviation of a grey noise, independent in each pixel and frame."""

    def __post_init__(self) -> None:
        if self.identities < 2:
            raise ValueError(
                f"identities is {self.identities}; it must be at least 2, one to train on and one to test on"
            )
        if self.frames < 2:
            raise ValueError(f"frames is {self.frames}; it must be at least 2: one frame shows no motion")
        if self.width < self.stride or self.band < self.stride:
            raise ValueError(
                f"width is {self.width} px and band {self.band} px; both must be at least the stride of {self.stride} "
                "px, so that a spot is always seen"
            )
        if not 0 < self.speed < self.stride / 2:
            raise ValueError(
                f"speed is {self.speed} px / frame; it must be more than 0 and less than half the stride of "
                f"{self.stride} px, or nobody can say which way the spots go"
            )

    @property
    def height(self) -> int:
        """Of a frame, in px: arms, gap, legs."""
        return self.gap + 2 * self.band

    def angle(self, identity: int) -> float:
        """Angle between arms and legs, by which an identity is recognised.

        Args:
            identity: From 0 to ``identities`` - 1.

        Returns:
            Radians.
        """
        return float(np.pi * (identity + 1) / (self.identities + 1))


def render(task: Gait, identity: int, arms: float, side: int, rng: np.random.Generator) -> np.ndarray:
    """Render a tracklet.

    Args:
        task: How it looks.
        identity: From 0 to ``task.identities`` - 1; -1 for nobody: the legs go anywhere, another way in each quarter.
        arms: Direction of the arms in radians, from right to down.
        side: To which the legs are turned from it, -1 or 1.
        rng: Where all else comes from: the places of the spots, and noise.

    Returns:
        uint8 (T, H, W, 3) RGB.
    """
    legs = np.full(task.frames, arms + side * task.angle(max(identity, 0)))
    if identity < 0:
        legs = np.repeat(rng.uniform(0, 2 * np.pi, 4), -(-task.frames // 4))[: task.frames]
    heading_tn = np.stack([np.full(task.frames, arms), legs], axis=1)
    step_tnd = task.speed * np.stack([np.cos(heading_tn), np.sin(heading_tn)], axis=2)
    clip = paint(task, rng.uniform(0, task.stride, (2, 2)) + np.cumsum(step_tnd, axis=0))
    clip += task.noise * rng.standard_normal(clip.shape[:3])[..., None]
    return np.rint(255 * np.clip(clip, 0, 1)).astype(np.uint8)


def paint(task: Gait, places_tnd: np.ndarray) -> np.ndarray:
    """Paint frames without noise.

    There are spots at every stride from the given one, across and down, cut off by the edges of the band.

    Args:
        task: How they look.
        places_tnd: (T, 2, 2): column and row in px of one spot of the arms, then of the legs.

    Returns:
        (T, H, W, 3), on a scale from black 0 to white 1.
    """
    clip = np.full((len(places_tnd), task.height, task.width, 3), task.ground)
    columns, rows, half = np.arange(task.width), np.arange(task.band), task.stride / 2
    for limb, first in enumerate((0, task.height - task.band)):
        x_tw = (columns - places_tnd[:, limb, 0, None] + half) % task.stride - half  # to the nearest spot
        y_th = (rows - places_tnd[:, limb, 1, None] + half) % task.stride - half
        square_thw = x_tw[:, None] ** 2 + y_th[:, :, None] ** 2
        # Smooth, and exactly zero beyond the radius: what is outside really does not know about the spot.
        cover_thw = np.clip(1 - square_thw / task.radius**2, 0, None) ** 2
        clip[:, first : first + task.band] += task.light * cover_thw[..., None]
    return clip


def parts(task: Gait) -> tuple[list[int], list[int]]:
    """Divide identities: every fourth is tested on (of fewer than twelve, every other one).

    Args:
        task: How many there are.

    Returns:
        Identities to train on, and to test on.
    """
    every = 4 if task.identities >= 12 else 2
    test = list(range(1, task.identities, every))
    return [identity for identity in range(task.identities) if identity not in test], test


def patterns(task: Gait) -> int:
    """How many tracklets of an identity are far apart.

    Args:
        task: How they look.

    Returns:
        As many as there are directions of the arms, the legs turned to either side.
    """
    return 2 * len(parts(task)[1]) * 2


def render_tracklet(task: Gait, seed: int, identity: int, number: int) -> np.ndarray:
    """Render a tracklet of a synthetic set.

    Args:
        task: How it looks.
        seed: Of the set.
        identity: The identity; -1 for a distractor, -2 for junk: a picture without anybody.
        number: Of the tracklet, from 0.

    Returns:
        uint8 (T, H, W, 3) RGB.
    """
    rng = np.random.default_rng([seed, 2, identity + 2, number])
    if identity < -1:
        shade = rng.integers(0, 256, (task.height, task.width, 3))
        return np.repeat((shade // 4)[None], task.frames, axis=0).astype(np.uint8)
    arms, side = direction(task, seed, identity, number)
    return render(task, identity, arms, side, rng)


def direction(task: Gait, seed: int, identity: int, number: int) -> tuple[float, int]:
    """How arms and legs lie in one tracklet of an identity.

    The first `patterns` tracklets have, in shuffled order, directions that are as far apart as the angles of two
    identities to test on, and each of them with both sides; the next ones lie between them, and so on.

    Args:
        task: How tracklets look.
        seed: Of the order.
        identity: The identity.
        number: Of the tracklet, from 0.

    Returns:
        Direction of the arms in radians, and the side of the legs, -1 or 1.
    """
    again, place = divmod(number, patterns(task))
    order = np.random.default_rng([seed, 3, identity + 2, again]).permutation(patterns(task))
    step, side = divmod(int(order[place]), 2)
    between = again * (np.sqrt(5) - 1) / 2 % 1  # spread evenly, however many there are
    return 2 * np.pi * 2 * (step + between) / patterns(task), 2 * side - 1
