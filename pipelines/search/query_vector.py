"""What is searched for: a video, images or the id of a row, as a unit vector."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from specvid.config import from_dict
from specvid.datasets.decode.opening import refuse_address
from specvid.datasets.layouts.media import IMAGES
from specvid.errors import VideoError
from specvid.models.trust import require_trust
from specvid.pipelines.embed.config import EmbedConfig
from specvid.pipelines.embed.feed import read_ahead
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.inputs import Source
from specvid.pipelines.embed.network import Network
from specvid.pipelines.embed.rows import Rows
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
        warning: about lost or repaired frames.
    """

    name: str
    vector: np.ndarray
    rows: np.ndarray
    warning: str = ""


def query_vector(
    folder: Folder,
    rows: Rows,
    query: Sequence[str],
    *,
    device: str = "auto",
    network: NetworkConfig | None = None,
    min_readable: float | None = None,
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
        min_readable: share of its frames that must decode; as the data set was made if not given.
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
        refuse_address(gone[0])
        raise ValueError(f"{gone[0]!r} is neither an id in {str(folder.path)!r} nor a file: give one of these.")
    config = _config_of(folder, name, network, trusted)
    if min_readable is not None:
        config = replace(config, windows=replace(config.windows, min_readable=min_readable))
    vector, warning = _embed(folder, query, config, device)
    return QueryVector(name, unit(vector), own, warning)


def text_vector(
    folder: Folder,
    text: str,
    *,
    network: NetworkConfig | None = None,
    min_readable: float | None = None,
    trusted: bool = False,
) -> QueryVector:
    """The vector of words, by the text tower of the network that made a data set.

    Args:
        folder: the data set.
        text: the words.
        network: where the network lies now, if the weights moved.
        min_readable: of no meaning here.
        trusted: the user vouches for the network that the data set names.

    Returns:
        The vector.

    Raises:
        ValueError: the network has no text tower, or is another one; or the rows are no embeddings of it.
    """
    config = _config_of(folder, text, network, trusted)
    if config.output.feature != "penultimate":
        raise ValueError(
            f"text {text!r}: {str(folder.path)!r} holds the feature {config.output.feature!r}, with which words do "
            "not compare: embed without --feature."
        )
    opened = _open(folder, config, "cpu")
    return QueryVector(text, unit(opened.model.embed_text([text]).numpy()), np.zeros(0, np.int64))


def _config_of(folder: Folder, name: str, network: NetworkConfig | None, trusted: bool) -> EmbedConfig:
    """The settings that made a data set, with its network where that lies now."""
    if "features" in folder.metadata():
        raise ValueError(
            f"{name!r}: {folder.metadata()['features']!r} knows no network, so files and words cannot be searched for "
            "in it: give the name of one of its tracklets."
        )
    config = embedding_config(folder, trusted=trusted)
    return config if network is None else replace(config, network=network)


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


def _open(folder: Folder, config: EmbedConfig, device: str) -> Network:
    """The network that made a data set."""
    metadata = folder.metadata()
    made: dict[str, Any] = metadata["network"]
    computing = metadata.get("computing")
    computing = computing if isinstance(computing, dict) else {}
    precision = computing.get("precision")
    if precision not in ("fp32", "bf16", "fp16") or not isinstance(made.get("weights"), str):
        raise ValueError(
            f"{str(folder.metadata_file)!r} does not say which weights made the data set at which precision: "
            "it was altered. Embed anew."
        )
    network = Network(
        config.network,
        changes=config.input,
        feature=config.output.feature,
        device=select_device(device, local_rank=0),
        precision=precision,
        tf32=bool(computing.get("tf32", True)),
        sampling=str(made.get("sampling", "auto")),
    )
    if network.metadata.weights != made["weights"]:
        raise ValueError(
            f"the network is not the one that made {str(folder.path)!r} (weights {network.metadata.weights[:12]}, not "
            f"{made['weights'][:12]}). Say with --run or --weights where that lies."
        )
    return network


def _embed(folder: Folder, query: Sequence[str], config: EmbedConfig, device: str) -> tuple[np.ndarray, str]:
    """The mean of all clips, (1, D), and the warnings about their frames."""
    network = _open(folder, config, device)
    source = _source(query)
    total, count, warning = np.zeros(network.dim), 0.0, ""
    # In a process of its own: a file that kills its decoder must not end whatever calls this.
    for _, chunk in read_ahead([source], reader_for(network, config.windows), workers=1):
        if chunk.clips is None:
            raise VideoError(source.id, chunk.error)
        for start in range(0, len(chunk.clips), 8):
            clips = chunk.clips[start : start + 8]
            counted = None if chunk.counted is None else chunk.counted[start : start + 8]
            weights = np.ones(len(clips)) if counted is None else counted.sum(1).astype(np.float64)
            vectors = network(clips, counted).cpu().numpy()
            total, count = total + (vectors * weights[:, None]).sum(axis=0), count + float(weights.sum())
        warning = chunk.warning
    return (total / count)[None], warning


def _source(query: Sequence[str]) -> Source:
    """The query as an input of `embed`."""
    images = [path for path in query if os.path.splitext(path)[1].lower() in IMAGES]
    if images and len(images) == len(query):
        return Source(images[0], "", files=tuple(images))
    if len(query) > 1:
        raise ValueError(f"{len(query)} things are searched for at once: give one video or id, or images of one.")
    return Source(query[0], query[0])
