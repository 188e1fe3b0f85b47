"""Tracklets to features: each process embeds its share, every tracklet comes once, all processes get all features."""

from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from rich.progress import track
from torch.utils.data import DataLoader

from specvid.datasets.clips.tracklets import TestChunks
from specvid.datasets.layouts.reid_set import ReidSet
from specvid.eval.reid.features import ReidFeatures
from specvid.models.factory import VideoModel
from specvid.pipelines.engine.gather import gather_rows
from specvid.pipelines.engine.log import console
from specvid.pipelines.reid.labels import labels_of_test


@dataclass(frozen=True)
class TrackletFeatures:
    """``features`` (N, E), float32, of unit length (0 where no frame of a tracklet can be read).

    ``errors``: the unreadable files; ``lost``: rows of the tracklets without any readable frame.
    """

    features: np.ndarray
    errors: list[str]
    lost: list[int]


def embed_tracklets(
    fabric: Fabric, model: VideoModel, chunks: TestChunks, *, batch_size: int = 32, workers: int = 2,
    flip: bool = False, title: str = "embedding",
) -> TrackletFeatures:  # fmt: skip
    """Embed all tracklets of ``chunks`` with the bare ``model`` (on its device, in eval mode).

    A tracklet's feature is the mean of its chunks' embeddings, each weighted with its number of valid frames, brought
    to unit length. Memory is a batch of chunks, however long the tracklets. ``flip``: average over the frames and their
    mirror images.
    """
    rank, world = fabric.global_rank, fabric.world_size
    # A tracklet stays whole: only its mean travels between processes.
    own = np.flatnonzero(chunks.tracklet % world == rank)
    loader = DataLoader(
        chunks, batch_size=batch_size, sampler=own.tolist(), num_workers=workers,
        pin_memory=fabric.device.type == "cuda", generator=torch.Generator(),
    )  # fmt: skip
    count = len(chunks.tracklets)
    mine = range(rank, count, world)
    sums = np.zeros((len(mine), model.embedding_dim))
    weight = np.zeros(len(mine))
    errors: list[list[str]] = [[] for _ in mine]
    quiet = not (fabric.is_global_zero and console.is_terminal)
    for batch in track(loader, title, console=console, disable=quiet, transient=True):
        row = batch["tracklet"].numpy() // world
        valid = batch["mask"].sum(dim=1).numpy()
        embedding = _embed(fabric, model, batch["video"], batch["mask"], flip)
        readable = valid > 0
        np.add.at(sums, row[readable], embedding[readable] * valid[readable, None])
        np.add.at(weight, row, valid)
        for number, error in zip(row.tolist(), batch["error"], strict=True):
            errors[number] += error.splitlines()
    length = np.linalg.norm(sums, axis=1)
    if not np.isfinite(length).all():
        raise ValueError("the model's embeddings are not finite: the training diverged, or --precision is too low")
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
    """Features (N, E) of ``data.test`` as queries and gallery, with identities, cameras and names."""
    ids, cams = labels_of_test(data)
    names = np.array([tracklet.name for tracklet in data.test])
    query, gallery = data.query, data.gallery
    return ReidFeatures(
        features[query], features[gallery], ids[query], ids[gallery], cams[query], cams[gallery], data.query_index,
        names[query], names[gallery], dict(about),
    )  # fmt: skip
