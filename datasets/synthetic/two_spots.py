"""The task of the synthetic UCF-101: do two spots, far apart in space and time, move the same way?

A spot near one edge of the picture (top or bottom) moves left or right during the first half of the clip, and is gone.
In the second half another one moves near the opposite edge. Whoever looks at one of them knows nothing about the class:
a *scene* (places, background, noise) is drawn four times, once for each pair of directions. The two pairs of
equal directions are one class, the other two the other class.

A network sees the relation only if something in it sees both spots. Their tracks are ``gap`` px apart: with a receptive
field of at most ``gap`` px, average pooling and a linear classifier, the logit is f(first) + g(second), and the sum of
such logits over the four clips of a scene, each with the sign of its class, is 0 for any weights whatsoever. So its
mean cross-entropy is at least log 2, that of guessing (docs/synthetic.md has the proof, tests/datasets the test).
"""

from dataclasses import dataclass

import numpy as np

CLASSES = ("OppositeWays", "SameWay")
LEFT, RIGHT = -1, 1
PAIRS = {"OppositeWays": ((RIGHT, LEFT), (LEFT, RIGHT)), "SameWay": ((RIGHT, RIGHT), (LEFT, LEFT))}
"""Directions of the first and the second spot, by class."""

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class TwoSpots:
    """How the clips look. Lengths in px, speed in px / frame, noise on a scale where black is 0 and white is 1."""

    frames: int = 16
    size: int = 40
    fps: int = 25
    radius: float = 3.5
    speed: float = 1.2
    gap: int = 20
    """No pixel that the one spot ever touches is nearer than this to a pixel that the other one touches."""
    noise: float = 0.01
    """Standard deviation of a grey noise, independent in each pixel and frame."""

    def __post_init__(self) -> None:
        if self.frames < 4 or self.frames % 2:
            raise ValueError(
                f"frames is {self.frames}; it must be even and at least 4: each spot moves for half of the clip"
            )
        least = int(np.ceil(max(self.gap + 4 * self.radius, 2 * self.travel + 2 * self.radius)))
        if self.size % 2 or self.size < least:
            raise ValueError(
                f"size is {self.size} px; it must be even and at least {least} px for spots of radius {self.radius} px "
                f"that keep a gap of {self.gap} px and travel {self.travel:.1f} px to either side"
            )

    @property
    def travel(self) -> float:
        """px that a spot moves to either side of the middle of its track."""
        return self.speed * (self.frames / 2 - 1) / 2


@dataclass(frozen=True)
class Spot:
    """A white spot.

    Attributes:
        x: Column of the middle of its track in px.
        y: Row of it.
    """

    x: float
    y: float


@dataclass(frozen=True)
class Background:
    """A colour gradient.

    Attributes:
        dark: RGB in [0, 1] where it begins.
        light: RGB where it ends.
        angle: Its direction in radians.
    """

    dark: Colour
    light: Colour
    angle: float


@dataclass(frozen=True)
class Scene:
    """All that the four clips of a scene share.

    Attributes:
        background: Behind the spots.
        first: One spot.
        second: The other one.
        noise_seed: Of the noise of each clip.
    """

    background: Background
    first: Spot
    second: Spot
    noise_seed: int


def draw_background(rng: np.random.Generator) -> Background:
    """A random dark background; the clips of one group share it, as those of UCF-101 share their place and light.

    Args:
        rng: Where it comes from.

    Returns:
        The background.
    """
    dark = rng.uniform(0.05, 0.2, 3)
    return Background(_colour(dark), _colour(dark + rng.uniform(0.05, 0.15, 3)), float(rng.uniform(0, 2 * np.pi)))


def draw_scene(task: TwoSpots, background: Background, rng: np.random.Generator) -> Scene:
    """Two spots at random places, one near the top edge, the other near the bottom edge.

    Args:
        task: How clips look.
        background: Behind them.
        rng: Where the places come from.

    Returns:
        The scene; the tracks of its spots lie inside the picture.
    """
    # Of a centre; pixel k reaches from k - 0.5 to k + 0.5.
    least, most = task.radius - 0.5, task.size - 0.5 - task.radius
    top, bottom = least, least + task.gap + 2 * task.radius
    # Room above the upper spot, and between the two beyond the gap.
    slack = rng.dirichlet((1, 1, 1))[:2] * (most - bottom)
    rows = [top + slack[0], bottom + slack.sum()]
    if rng.random() < 0.5:
        rows.reverse()
    columns = rng.uniform(least + task.travel, most - task.travel, 2)
    spots = [Spot(float(x), float(y)) for x, y in zip(columns, rows, strict=True)]
    return Scene(background, spots[0], spots[1], int(rng.integers(2**63)))


def render(task: TwoSpots, scene: Scene, directions: tuple[int, int]) -> np.ndarray:
    """Render one clip of a scene.

    Args:
        task: How clips look.
        scene: The spots and what is behind them.
        directions: In which the first and the second spot move, -1 or 1.

    Returns:
        uint8 (T, H, W, 3) RGB.
    """
    side = np.arange(task.size, dtype=np.float64)
    centred = side - (task.size - 1) / 2
    angle = scene.background.angle
    slope = np.cos(angle) * centred[None, :] + np.sin(angle) * centred[:, None]
    share = (slope / np.abs(slope).max() + 1)[..., None] / 2
    dark, light = np.array(scene.background.dark), np.array(scene.background.light)
    clip = np.repeat((dark + (light - dark) * share)[None], task.frames, axis=0)
    half = task.frames // 2
    for frame in range(task.frames):
        spot, direction = (scene.first, directions[0]) if frame < half else (scene.second, directions[1])
        x = spot.x + direction * task.speed * (frame % half - (half - 1) / 2)
        square = (side[None, :] - x) ** 2 + (side[:, None] - spot.y) ** 2
        # Smooth, and exactly zero beyond the radius: what is outside really does not know about the spot.
        cover = (np.clip(1 - square / task.radius**2, 0, None) ** 2)[..., None]
        clip[frame] += cover * (1 - clip[frame])
    clip += task.noise * np.random.default_rng(scene.noise_seed).standard_normal(clip.shape[:3])[..., None]
    return np.rint(255 * np.clip(clip, 0, 1)).astype(np.uint8)


def _colour(rgb: np.ndarray) -> Colour:
    red, green, blue = rgb.tolist()
    return red, green, blue
