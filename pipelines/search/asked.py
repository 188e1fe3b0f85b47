"""What is asked for: a video, images or the id of a row, as a unit vector."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from specvid.datasets.decode import Video, open_video
from specvid.datasets.layouts.media import IMAGES
from specvid.errors import VideoError
from specvid.pipelines.embed.config import NetChoice, WindowChoice
from specvid.pipelines.embed.layout import Folder
from specvid.pipelines.embed.network import Network
from specvid.pipelines.embed.reading import ImageSequence, Reader
from specvid.pipelines.embed.stream import reader_of
from specvid.pipelines.engine.devices import select_device
from specvid.pipelines.search.vectors import Rows, unit


@dataclass(frozen=True, eq=False)
class Asked:
    """``vector`` (1, D), of unit length; ``own``: rows of the data set that it is, which are no answers."""

    name: str
    vector: np.ndarray
    own: np.ndarray


def asked(
    folder: Folder, rows: Rows, what: Sequence[str], *, device: str = "auto", net: NetChoice | None = None
) -> Asked:
    """The vector of ``what``: the id of a row (the mean of its windows), a video file, a folder of images, or images.

    A file is embedded with the network and the clips that made the data set; ``net`` says where it lies now, if the run
    or the weights moved. Raises ``ValueError`` for something that is neither, or a network that is another one.
    """
    name = " ".join(what)
    own = rows.with_id(what[0]) if len(what) == 1 else np.zeros(0, np.int64)
    if len(own):
        vectors = np.array([row["embedding"] for row in rows.take(own.tolist(), ["embedding"])], np.float32)
        return Asked(name, unit(vectors.mean(axis=0, keepdims=True)), own)
    gone = [path for path in what if not os.path.exists(path)]
    if gone:
        raise ValueError(f"{gone[0]!r} is neither an id in {str(folder.path)!r} nor a file: give one of these.")
    return Asked(name, unit(_embed(folder, what, device, net)), own)


def _embed(folder: Folder, what: Sequence[str], device: str, net: NetChoice | None) -> np.ndarray:
    facts = folder.facts()
    made = facts["network"]
    network = Network(
        net or NetChoice(**made["source"]),
        device=select_device(device, local_rank=0),
        precision=facts["computing"]["precision"],
        sampling=made["sampling"],
    )
    if network.facts.weights != made["weights"]:
        raise ValueError(
            f"the network is not the one that made {str(folder.path)!r} (weights {network.facts.weights[:12]}, not "
            f"{made['weights'][:12]}). Say with --run or --weights where that lies."
        )
    windows = WindowChoice(**{**facts["windows"], "rows": "video"})
    reader = reader_of(network, windows)
    total, count = np.zeros(network.dim), 0
    for piece in _pieces(reader, what):
        for clips in piece.split(8):
            vectors = network(clips).cpu().numpy()
            total, count = total + vectors.sum(axis=0, dtype=np.float64), count + len(vectors)
    return (total / count)[None]


def _pieces(reader: Reader, what: Sequence[str]) -> Iterator[torch.Tensor]:
    images = [path for path in what if os.path.splitext(path)[1].lower() in IMAGES]
    if images and len(images) == len(what):
        yield from _clips(reader, ImageSequence("", reader.windows.choice.fps, images))
    elif len(what) > 1:
        raise ValueError(f"{len(what)} things are asked for at once: give one video or id, or several images of one.")
    elif os.path.isdir(what[0]):
        yield from _clips(reader, ImageSequence(what[0], reader.windows.choice.fps))
    else:
        with open_video(what[0], reader.decoder) as video:
            yield from _clips(reader, video)


def _clips(reader: Reader, video: Video | ImageSequence) -> Iterator[torch.Tensor]:
    for piece in reader.clips_of(video):
        assert piece.clips is not None
        yield piece.clips


def frames_of(path: str, numbers: Sequence[int], fps: float = 25.0) -> list[np.ndarray]:
    """Some frames of a video or a folder of images, uint8 (H, W, 3) each. ``VideoError`` where it cannot be read."""
    if os.path.isdir(path):
        return list(ImageSequence(path, fps).stream(np.asarray(numbers)))
    if os.path.splitext(path)[1].lower() in IMAGES:
        from specvid.datasets.decode.images import read_frame

        return [read_frame(path)]
    with open_video(path) as video:
        if not numbers:
            numbers = [len(video) // 2]
        inside = [min(number, len(video) - 1) for number in numbers]
        if not inside:
            raise VideoError(path, "holds no frames")
        return list(video.frames(inside))
