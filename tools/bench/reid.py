"""How fast re-identification is scored, next to the bare similarity product and to a per-query Python ranking.

``bench_scoring`` answers: what does the whole score (mAP, mINP, CMC, per-query) cost above the one matrix product that
    nobody can avoid?
``bench_gallery`` answers: how much memory above the features does a gallery of a million take?
"""

import os
import threading
import time
from collections.abc import Callable

import numpy as np

from specvid.eval.reid.features import ReidFeatures
from specvid.eval.reid.score import score_reid

MARS_QUERIES, MARS_GALLERY = 1980, 12180
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def draw_features(
    queries: int, gallery: int, dims: int, *, identities: int, noise: float, seed: int = 0
) -> ReidFeatures:
    """Unit features of ``identities`` seen by six cameras: a person's centre plus noise.

    ``noise`` is the length of the noise against that of the centre; infinity leaves noise alone, and the mAP of chance.
    A quarter of the identities is in the gallery only, as MARS's distractors are.
    """
    rng = np.random.default_rng(seed)
    centre = rng.standard_normal((identities, dims), dtype=np.float32)
    ids = rng.integers(0, identities, gallery)
    asked = rng.integers(0, max(1, identities * 3 // 4), queries)
    return ReidFeatures(
        query=_around(centre, asked, noise, rng), gallery=_around(centre, ids, noise, rng),
        query_ids=asked, gallery_ids=ids,
        query_cams=rng.integers(1, 7, queries), gallery_cams=rng.integers(1, 7, gallery),
    )  # fmt: skip


def _around(centre: np.ndarray, ids: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Unit features (len(ids), D) around the centres, made in blocks."""
    features = np.empty((len(ids), centre.shape[1]), np.float32)
    for start in range(0, len(ids), 8192):
        part = ids[start : start + 8192]
        block = rng.standard_normal((len(part), centre.shape[1]), dtype=np.float32)
        if np.isfinite(noise):
            block = centre[part] + np.float32(noise) * block
        features[start : start + 8192] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return features


def rank_in_python(data: ReidFeatures) -> tuple[float, float]:
    """mAP and rank-1 as torchreid's ``eval_market1501`` finds them: a full argsort, then a loop over the queries."""
    similarity = data.query @ data.gallery.T
    order = np.argsort(-similarity, axis=1)
    is_same_id = (data.gallery_ids[order] == data.query_ids[:, None]).astype(np.int32)
    precisions, first = [], []
    for i in range(len(data.query)):
        ranked = order[i]
        own = (data.gallery_ids[ranked] == data.query_ids[i]) & (data.gallery_cams[ranked] == data.query_cams[i])
        hits = is_same_id[i][~own]
        if not hits.any():
            continue
        first.append(float(hits[0]))
        precision = np.asarray([count / (place + 1.0) for place, count in enumerate(hits.cumsum())]) * hits
        precisions.append(precision.sum() / hits.sum())
    return float(np.mean(precisions)), float(np.mean(first))


def bench_scoring(
    queries: int = MARS_QUERIES, gallery: int = MARS_GALLERY, dims: int = 2048, *, noise: float = 2.5, repeat: int = 3
) -> dict[str, float]:
    """Seconds (the best of ``repeat``) of the product, the whole score and the Python ranking on the same synthetic
    features.

    Returns:
        ``product``, ``score``, ``python`` in seconds, ``score_over_product``, ``python_over_score``, and the ``mAP`` of
        both ways.
    """
    import torch

    data = draw_features(queries, gallery, dims, identities=max(2, gallery // 14), noise=noise)
    query, items = torch.from_numpy(data.query), torch.from_numpy(data.gallery)
    # The faster of the two products is the mark: NumPy and PyTorch bring different BLAS libraries.
    products = [lambda: data.query @ data.gallery.T, lambda: query @ items.T]
    product, score = np.inf, np.inf
    for _ in range(repeat):  # in turn, so that a busy moment of the machine hits all alike
        product = min(product, *(_seconds(run) for run in products))
        score = min(score, _seconds(lambda: data.score("cross-camera")))
    figures = data.score("cross-camera")
    start = time.perf_counter()
    slow_map, _ = rank_in_python(data)
    python = time.perf_counter() - start
    return {
        "queries": queries, "gallery": gallery, "dims": dims,
        "product": product, "score": score, "python": python,
        "score_over_product": score / product, "python_over_score": python / score,
        "mAP": figures.mAP, "mAP_python": slow_map,
    }  # fmt: skip


def bench_gallery(
    queries: int = 1000, gallery: int = 1_000_000, dims: int = 512, *, noise: float = 2.0
) -> dict[str, float]:
    """Seconds and memory of a large gallery.

    Returns:
        ``score`` in seconds, ``features_gib``, ``above_features_gib`` (the most resident memory during the scoring less
        that before it), ``mAP``.
    """
    data = draw_features(queries, gallery, dims, identities=max(2, gallery // 20), noise=noise)
    warm = slice(0, 2)
    score_reid(data.query[warm], data.query[warm], [0, 1], [0, 1], [0, 0], [1, 1], protocol="cross-camera")
    with PeakMemory() as memory:
        start = time.perf_counter()
        score = data.score("cross-camera")
        seconds = time.perf_counter() - start
    return {
        "queries": queries, "gallery": gallery, "dims": dims, "score": seconds,
        "features_gib": (data.query.nbytes + data.gallery.nbytes) / 2**30,
        "above_features_gib": memory.above / 2**30, "mAP": score.mAP,
    }  # fmt: skip


class PeakMemory:
    """Context manager: ``above`` is the most resident memory of the process inside less that at entry, in bytes."""

    def __init__(self, *, every: float = 0.01) -> None:
        self.every = every
        self.above = 0
        self._stop = threading.Event()

    def __enter__(self) -> "PeakMemory":
        self._before = _resident()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self.every):
            self.above = max(self.above, _resident() - self._before)


def _resident() -> int:
    """Resident memory of this process in bytes."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * _PAGE


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def report(*, large: bool = False) -> str:
    """The table of ``specvid bench reid``; with ``large`` also the gallery of a million."""
    lines = ["scoring, MARS size        product     score    python   score/product   python/score     mAP"]
    for title, noise in (("features of a good model", 2.5), ("pure noise", np.inf)):
        row = bench_scoring(noise=noise)
        lines.append(
            f"{title:<24} {row['product']:7.2f} s {row['score']:7.2f} s {row['python']:7.2f} s "
            f"{row['score_over_product']:13.2f}x {row['python_over_score']:13.1f}x {100 * row['mAP']:8.2f}"
        )
    if large:
        row = bench_gallery()
        lines.append(
            f"gallery of {row['gallery']:,} x {row['dims']}, {row['queries']:,} queries: {row['score']:.1f} s, "
            f"{row['above_features_gib']:.2f} GiB above the features' {row['features_gib']:.2f} GiB"
        )
    return "\n".join(lines)
