"""The task of the drawn re-ID sets: people who are known by their gait alone, and by no single frame of it.

A walker has a row of arms at the top of the picture and a row of legs at the bottom, one pair in each lane. Arms and
legs are never seen together: for some frames the arms swing out and back while the legs are hidden, then the legs while
the arms are hidden, and so on. In each lane the arm
swings to a random side, another one in each tracklet, and the leg swings to the *same* or to the *opposite* side: that
relation, lane by lane, is the person. Everything else (colours of background and body, noise) is drawn anew for each
tracklet.

With ``arms`` drawn evenly, the legs alone are even too, and so is every single frame: whoever adds up what single
frames show, or what is seen in windows smaller than the gap between the rows, knows nothing. For such a sum, f(arms) +
g(legs), the mean over all arms of a person is the same for every person; so a linear classifier's cross-entropy over
them is at least that of guessing. A network needs to relate far-apart frames.
"""

from dataclasses import dataclass

import numpy as np

LIMB_COLOURS = np.array(
    [[0.95, 0.3, 0.25], [0.3, 0.9, 0.35], [0.35, 0.5, 1.0], [0.95, 0.85, 0.3], [0.85, 0.35, 0.9], [0.35, 0.9, 0.9]]
)
"""RGB in [0, 1] of the limbs of each lane, the same for everybody: they tell the lanes apart."""


@dataclass(frozen=True)
class Gait:
    """How tracklets look. Lengths in px, ``swing`` in frames, ``noise`` where black is 0 and white is 1."""

    lanes: int = 4
    """Pairs of an arm and a leg: there are 2 ** lanes people."""
    frames: int = 16
    swing: int = 4
    """Frames that the arms are seen, then the legs, in turn."""
    height: int = 48
    lane_width: int = 10
    radius: float = 2.5
    reach: float = 2.5
    """How far a limb swings out."""
    gap: int = 20
    """No pixel that an arm ever touches is nearer than this to one that a leg touches."""
    noise: float = 0.01

    def __post_init__(self) -> None:
        if not 1 <= self.lanes <= len(LIMB_COLOURS):
            raise ValueError(f"lanes is {self.lanes}; it must be 1 to {len(LIMB_COLOURS)}, one colour each")
        if self.swing < 1 or self.frames < 2 * self.swing:
            raise ValueError(
                f"frames is {self.frames}; it must be at least two swings of {self.swing} frames: arms, then legs"
            )
        least = int(np.ceil(self.gap + 4 * self.radius + 2))
        if self.height < least:
            raise ValueError(f"height is {self.height} px; it must be at least {least} px for a gap of {self.gap} px")

    @property
    def width(self) -> int:
        """Of a frame, in px."""
        return self.lanes * self.lane_width

    @property
    def people(self) -> int:
        """How many there can be."""
        return 2**self.lanes


def bits(number: int, lanes: int) -> np.ndarray:
    """A number as directions (lanes,): -1 for a bit of 0, +1 for 1."""
    return 2 * ((number >> np.arange(lanes)) & 1) - 1


def render(task: Gait, person: int, arms: int, rng: np.random.Generator, *, frames: int | None = None) -> np.ndarray:
    """A tracklet, uint8 (T, H, W, 3) RGB.

    ``person``: from 0 to ``task.people`` - 1: bit k says whether leg k swings to the same side as arm k; -1 for nobody:
    the legs go their own way at each swing. ``arms``: the sides of the arms, in the same range. ``rng`` draws
    everything else. ``frames``: another number than the task's.
    """
    count = frames or task.frames
    rows = np.arange(task.height, dtype=np.float64)
    columns = np.arange(task.width, dtype=np.float64)
    dark = rng.uniform(0.05, 0.25, 3)
    slope = (rows[:, None] / task.height + rng.uniform(-1, 1) * columns[None] / task.width)[..., None]
    still = dark + 0.1 * slope * rng.uniform(0, 1, 3)
    top, bottom = task.radius + 1, task.height - 2 - task.radius
    body = (np.abs(rows - task.height / 2) < task.gap / 4)[:, None] & (
        np.abs(columns - task.width / 2) < task.width / 5
    )[None]
    still = np.where(body[..., None], rng.uniform(0.2, 0.8, 3), still)
    clip = np.repeat(still[None], count, axis=0)
    glow = rng.uniform(0.8, 1.0)
    centre = (np.arange(task.lanes) + 0.5) * task.lane_width - 0.5
    sides = bits(arms, task.lanes)
    first = int(rng.integers(2))  # arms first, or legs first
    for frame in range(count):
        turn, step = divmod(frame, task.swing)
        shows_legs = (turn + first) % 2
        directions = sides
        if shows_legs:
            if person < 0 and step == 0:
                nobody = rng.choice([-1, 1], task.lanes)
            directions = nobody if person < 0 else sides * bits(person, task.lanes)
        out = task.reach * np.sin(np.pi * (step + 0.5) / task.swing)
        y = bottom if shows_legs else top
        for lane in range(task.lanes):
            square = (columns[None] - centre[lane] - directions[lane] * out) ** 2 + (rows[:, None] - y) ** 2
            # Smooth, and exactly zero beyond the radius: what is outside really does not know about the limb.
            cover = (np.clip(1 - square / task.radius**2, 0, None) ** 2)[..., None]
            clip[frame] += cover * (glow * LIMB_COLOURS[lane] - clip[frame])
    clip += task.noise * rng.standard_normal(clip.shape[:3])[..., None]
    return np.rint(255 * np.clip(clip, 0, 1)).astype(np.uint8)
