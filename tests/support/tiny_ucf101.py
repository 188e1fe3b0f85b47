"""A UCF-101 of a few real video files, a few kilobytes each: classes differ in colour, so anything learns them."""

from pathlib import Path

import av
import numpy as np

COLOURS = {"Blue": (40, 60, 220), "Green": (40, 200, 60), "Red": (220, 50, 40)}


def synthesize_tiny_ucf101(root: Path, *, groups: int = 4, clips: int = 2, frames: int = 10) -> Path:
    """Writes ``root`` in the official layout: split s tests on group s (of at least 4) and trains on the others."""
    rng = np.random.default_rng(0)
    lists = root / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(COLOURS, start=1)))
    names = {group: [] for group in range(1, groups + 1)}
    for number, (name, colour) in enumerate(COLOURS.items(), start=1):
        for group in names:
            for clip in range(1, clips + 1):
                relative = f"{name}/v_{name}_g{group:02d}_c{clip:02d}.avi"
                write_video(root / "videos" / relative, colour, frames, rng)
                names[group].append((relative, number))
    for split in (1, 2, 3):
        train = [f"{name} {label}\n" for group in names if group != split for name, label in names[group]]
        (lists / f"trainlist0{split}.txt").write_text("".join(train))
        (lists / f"testlist0{split}.txt").write_text("".join(f"{name}\n" for name, _ in names[split]))
    return root


def write_video(path: Path, colour: tuple[int, int, int], frames: int, rng: np.random.Generator) -> None:
    """A noisy field of ``colour`` with a moving square, 64 x 48 px, MPEG-4 in AVI."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        place = rng.integers(0, 30, 2)
        for number in range(frames):
            noise = rng.normal(0, 12, (48, 64, 3))
            picture = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            y, x = (place + number) % (36, 52)
            picture[y : y + 10, x : x + 10] = 240
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
