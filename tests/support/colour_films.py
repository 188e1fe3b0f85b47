"""Films of plain colours that change at known times, and a tiny network that tells the colours."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from specvid.datasets.synthetic.encode import write_video
from specvid.models import VideoModel, create_model

COLOURS = {"nothing": (90, 90, 90), "Blue": (40, 60, 220), "Green": (40, 200, 60), "Red": (220, 50, 40)}
SIZE = (32, 48)
FPS = 10
Event = tuple[str, int, int]  # colour, first frame, frame after its last


def colour_frames(length: int, events: Sequence[Event], *, seed: int = 0) -> Iterator[np.ndarray]:
    """Frames uint8 (32, 48, 3): noise over grey, or over the colour of the event."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 8, (16, *SIZE, 3))
    for number in range(length):
        name = next((name for name, first, end in events if first <= number < end), "nothing")
        yield np.clip(noise[number % 16] + COLOURS[name], 0, 255).astype(np.uint8)


def write_film(path: Path, length: int, events: Sequence[Event], *, codec: str = "mpeg4") -> Path:
    return write_video(path, colour_frames(length, events), FPS, codec=codec)


def colour_model(blocks: str = "snl@layer2.-1") -> VideoModel:
    """``r3d_tiny`` with random features and a classifier fitted to them by least squares: it tells the colours."""
    torch.manual_seed(0)
    clip = {"frames": 4, "stride": 2, "size": 16, "resize": 20}
    model = create_model("r3d_tiny", blocks=blocks, num_classes=len(COLOURS), input=clip).eval()
    examples = []
    for seed in range(6):
        for name in COLOURS:
            frames = np.stack(list(colour_frames(4, [(name, 0, 4)], seed=seed)))
            examples.append(model.preprocess(frames))
    with torch.no_grad():
        features = model.embed(torch.cat(examples)).double()
        wanted = 12 * torch.eye(len(COLOURS), dtype=torch.float64).repeat(6, 1)
        ones = torch.ones(len(features), 1, dtype=torch.float64)
        solution = torch.linalg.lstsq(torch.cat([features, ones], 1), wanted, driver="gelsd").solution
        model.head.classifier.weight.copy_(solution[:-1].T)
        model.head.classifier.bias.copy_(solution[-1])
    model.classes = tuple(COLOURS)
    return model
