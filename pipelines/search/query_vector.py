"""What is searched for: a video, images or the id of a row, as a unit vector."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from specvid.config import from_dict
from specvid.datasets.decode import Video, open_video
from specvid.datasets.decode.frame_folder import FrameFolder
from specvid.datasets.layouts.media import IMAGES
from specvid.models.trust import require_trust
from specvid.pipelines.embed.config import EmbedConfig
from specvid.pipelines.embed.folder import Folder, Rows
from specvid.pipelines.embed.network import Network
from specvid.pipelines.embed.reading import ALL_READABLE, Reader
from specvid.pipelines.embed.stream import reader_for
from specvid.pipelines.engine.devices import select_device
from specvid.pipelines.networks.config import NetworkConfig
from specvid.pipelines.search.exact import unit


@dataclass(frozen=True, eq=False)
class QueryVector:
    """A query.

    Attributes:
        name: as it was given.
        vector: (1, D), of unit length.
        rows: rows of the data set that it is itself, which are no answers.
    """

    name: str
    vector: np.ndarray
    rows: np.ndarray


def query_vector(
    folder: Folder,
    rows: Rows,
    query: Sequence[str],
    *,
    device: str = "auto",
    network: NetworkConfig | None = None,
    trusted: bool = False,
) -> QueryVector:
    """The vector of a query.

    A file is embedded with the network and the clips that made the data set.

    Args:
        folder: the data set.
        rows: its rows.
        query: the id of a row (the mean of its windows), a video file, a folder of images, or images.
        device: where the network is computed.
        network: where it lies now, if the run or the weights moved.
        trusted: the user vouches for the network that the data set names.

    Returns:
        The vector.

    Raises:
        ValueError: the query is neither an id nor a file, or the network is another one.
    """
    name = " ".join(query)
    own = rows.with_id(query[0]) if len(query) == 1 else np.zeros(0, np.int64)
    if len(own):
        vectors = np.array([row["embedding"] for row in rows.take(own.tolist(), ["embedding"])], np.float32)
        return QueryVector(name, unit(vectors.mean(axis=0, keepdims=True)), own)
    gone = [path for path in query if not os.path.exists(path)]
    if gone:
        raise ValueError(f"{gone[0]!r} is neither an id in {str(folder.path)!r} nor a file: give one of these.")
    return QueryVector(name, unit(_embed(folder, query, device, network, trusted)), own)


def embedding_config(folder: Folder, *, trusted: bool = False) -> EmbedConfig:
    """The settings that made a data set.

    Args:
        folder: the data set.
        trusted: the user vouches for what its files name.

    Returns:
        The settings, from embed.json.

    Raises:
        ValueError: there are none, or their network may run code.
    """
    config = from_dict(EmbedConfig, folder.metadata().get("config", {}), where=f"{folder.metadata_file}: config")
    require_trust({"name": config.network.model}, where=str(folder.metadata_file), trusted=trusted)
    return replace(config, network=replace(config.network, trust=trusted))


def _embed(folder: Folder, query: Sequence[str], device: str, moved: NetworkConfig | None, trusted: bool) -> np.ndarray:
    """The mean of all clips, (1, D)."""
    config, metadata = embedding_config(folder, trusted=trusted), folder.metadata()
    made: dict[str, Any] = metadata["network"]
    network = Network(
        moved or config.network,
        changes=config.input,
        feature=config.output.feature,
        device=select_device(device, local_rank=0),
        precision=metadata["computing"]["precision"],
        sampling=made["sampling"],
    )
    if network.metadata.weights != made["weights"]:
        raise ValueError(
            f"the network is not the one that made {str(folder.path)!r} (weights {network.metadata.weights[:12]}, not "
            f"{made['weights'][:12]}). Say with --run or --weights where that lies."
        )
    reader = reader_for(network, config.windows)
    total, count = np.zeros(network.dim), 0
    for chunk in _read(reader, query):
        for clips in chunk.split(8):
            vectors = network(clips).cpu().numpy()
            total, count = total + vectors.sum(axis=0, dtype=np.float64), count + len(vectors)
    return (total / count)[None]


def _read(reader: Reader, query: Sequence[str]) -> Iterator[torch.Tensor]:
    """The clips of a query, uint8 (n, T, h, w, 3) at a time."""
    images = [path for path in query if os.path.splitext(path)[1].lower() in IMAGES]
    fps = reader.planner.config.fps
    if images and len(images) == len(query):
        yield from _clips(reader, FrameFolder("", fps, images, min_readable=ALL_READABLE))
    elif len(query) > 1:
        raise ValueError(f"{len(query)} things are searched for at once: give one video or id, or images of one.")
    elif os.path.isdir(query[0]):
        yield from _clips(reader, FrameFolder(query[0], fps, min_readable=ALL_READABLE))
    else:
        with open_video(query[0], reader.spec.decoder, min_readable=ALL_READABLE) as video:
            yield from _clips(reader, video)


def _clips(reader: Reader, video: Video) -> Iterator[torch.Tensor]:
    for chunk in reader.clips_of(video):
        assert chunk.clips is not None
        yield chunk.clips
