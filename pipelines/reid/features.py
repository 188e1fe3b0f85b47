"""Tracklets to features: each process embeds its share, every tracklet comes once, all processes get all features."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from rich.progress import track
from torch.utils.data import DataLoader

from specvid.datasets.clips.tracklets import TestChunks
from specvid.datasets.layouts.reid_set import Identity, ReidSet
from specvid.eval.reid.features import ReidFeatures
from specvid.eval.reid.matches import check_matches
from specvid.eval.reid.protocols import NoMatchError
from specvid.models.video_model import VideoModel
from specvid.pipelines.engine.config import ComputeConfig
from specvid.pipelines.engine.gather import gather_rows
from specvid.pipelines.engine.loading import load, loader_options
from specvid.pipelines.engine.log import console
from specvid.pipelines.networks.finite import require_finite


@dataclass(frozen=True)
class TrackletFeatures:
    """Features of tracklets.

    Args:
        features: (N, E), float32, of unit length (0 where no frame of a tracklet can be read).
        errors: the unreadable files.
        lost: rows of the tracklets without any readable frame.
    """

    features: np.ndarray
    errors: list[str]
    lost: list[int]


def embed_tracklets(
    fabric: Fabric,
    model: VideoModel,
    chunks: TestChunks,
    *,
    compute: ComputeConfig,
    flip: bool = False,
    title: str = "embedding",
) -> TrackletFeatures:
    """Embed tracklets.

    The feature of one is the mean of its chunks' embeddings, each weighted with its number of valid frames, brought to
    unit length. Memory is a batch of chunks, however long the tracklets.

    Args:
        fabric: of this process.
        model: bare, on its device, in eval mode.
        chunks: of all tracklets.
        compute: batch size (chunks at once) and workers.
        flip: average over the frames and their mirror images.
        title: of the progress bar.

    Returns:
        The features of all tracklets, in every process.

    Raises:
        ValueError: embeddings are not finite.
    """
    rank, world = fabric.global_rank, fabric.world_size
    # A tracklet stays whole: only its mean travels between processes.
    own = np.flatnonzero(chunks.tracklet % world == rank)
    size, numbers = compute.batch_size, own.tolist()
    on_gpu, options = fabric.device.type == "cuda", loader_options(compute.workers)
    batches = load(
        lambda done, _: DataLoader(
            chunks, batch_size=size, sampler=numbers[done * size :], pin_memory=on_gpu, **options
        ),
        chunks.guard,
    )
    count = len(chunks.tracklets)
    mine = range(rank, count, world)
    sums = np.zeros((len(mine), model.embedding_dim))
    weight = np.zeros(len(mine))
    errors: list[list[str]] = [[] for _ in mine]
    quiet = not (fabric.is_global_zero and console.is_terminal)
    steps = -(-len(numbers) // size)
    for batch in track(batches, title, total=steps, console=console, disable=quiet, transient=True):
        row = batch["tracklet"].numpy() // world
        valid = batch["mask"].sum(dim=1).numpy()
        embedding = _embed(fabric, model, batch["video"], batch["mask"], flip)
        readable = valid > 0
        np.add.at(sums, row[readable], embedding[readable] * valid[readable, None])
        np.add.at(weight, row, valid)
        for number, error in zip(row.tolist(), batch["error"], strict=True):
            errors[number] += error.splitlines()
    length = np.linalg.norm(sums, axis=1)
    require_finite(length, model, "embeddings")
    features = (sums / np.where(length > 0, length, 1)[:, None]).astype(np.float32)
    rows = [(index, (features[i], errors[i], bool(weight[i]))) for i, index in enumerate(mine)]
    gathered = gather_rows(fabric, rows, count)
    return TrackletFeatures(
        np.stack([feature for feature, _, _ in gathered]),
        [error for _, own_errors, _ in gathered for error in own_errors],
        [index for index, (_, _, found) in enumerate(gathered) if not found],
    )


@torch.inference_mode()
def _embed(fabric: Fabric, model: VideoModel, video: torch.Tensor, mask: torch.Tensor, flip: bool) -> np.ndarray:
    """Embeddings (B, E), float64, of chunks (B, 3, T, H, W)."""
    video = fabric.to_device(video)
    # A 3D network would see black frames in the place of masked ones; it gets the chunk's own frames again.
    masked = None if model.dims == 3 or bool(mask.all()) else fabric.to_device(mask)
    with fabric.autocast():
        embedding = model.embed(video, masked).float()
        if flip:
            embedding = embedding + model.embed(video.flip(-1), masked).float()
    return embedding.cpu().numpy().astype(np.float64)


def as_reid_features(data: ReidSet, features: np.ndarray, about: dict[str, object]) -> ReidFeatures:
    """The features of a test part as queries and gallery, with identities, cameras and names.

    Args:
        data: the data set.
        features: (N, E) of ``data.test``.
        about: where they come from.

    Returns:
        What is scored.
    """
    ids, cams = labels_of_test(data)
    names = np.array([tracklet.name for tracklet in data.test])
    query, gallery = data.query, data.gallery
    return ReidFeatures(
        features[query],
        features[gallery],
        ids[query],
        ids[gallery],
        cams[query],
        cams[gallery],
        data.query_index,
        names[query],
        names[gallery],
        dict(about),
    )


def labels_of_test(data: ReidSet) -> tuple[np.ndarray, np.ndarray]:
    """Who and where the test tracklets are.

    Args:
        data: the data set.

    Returns:
        Identities and cameras (N,) of ``data.test``: as numbers where all are, else as strings.
    """
    return _as_array([tracklet.pid for tracklet in data.test]), _as_array([tracklet.camid for tracklet in data.test])


def check_scorable(data: ReidSet, protocols: Sequence[str] = ()) -> None:
    """Check that there is anything to score, which the labels show before a training or an embedding.

    Args:
        data: the data set.
        protocols: to score under; none: the data set's own.

    Raises:
        NoMatchError: no query has a correct match under any of the protocols.
    """
    ids, cams = labels_of_test(data)
    query, gallery = data.query, data.gallery
    why: list[NoMatchError] = []
    for protocol in protocols or (data.protocol,):
        try:
            check_matches(
                ids[query], ids[gallery], cams[query], cams[gallery], protocol=protocol, query_index=data.query_index
            )
            return
        except NoMatchError as error:
            why.append(error)
    raise why[0]


def _as_array(values: list[Identity]) -> np.ndarray:
    """Labels as numbers where all are, else as strings."""
    return np.array(values if all(isinstance(value, int) for value in values) else [str(value) for value in values])
