"""How fast re-identification is scored, next to the bare similarity product and to a per-query Python ranking.

``bench_scoring`` answers: what does the complete score (mAP, mINP, CMC, per-query) cost above the one matrix product
    that nobody can avoid?
``bench_rerank`` answers: what does re-ranking take, beside the published form with its N x N matrices, and beside
    torchreid's own function where torchreid is installed?
``bench_gallery`` answers: how much memory above the features does a gallery of a million take?
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path

import numpy as np

from specvid.eval.reid.features import ReidFeatures
from specvid.eval.reid.rerank import KReciprocal
from specvid.eval.reid.score import score_reid
from specvid.eval.similarity import Similarity
from specvid.pipelines.engine.log import silent
from specvid.text import to_text
from specvid.tools.bench.dense_rerank import rerank_dense
from specvid.tools.bench.process_memory import peak_mebibytes, restart_peak
from specvid.tools.timing import Stopwatch, interleaved

OURS, DENSE, TORCHREID = "ours", "published form, N x N", "torchreid's re_ranking"
MARS_QUERIES, MARS_GALLERY = 1980, 12180


@dataclass(frozen=True)
class ScoringTime:
    """Seconds, the best of several rounds, on the same features.

    Attributes:
        product: of the similarity product.
        score: of the complete score.
        python: of the ranking in Python, once.
        score_to_product: ratio.
        python_to_score: ratio.
        mAP: of the score.
        python_mAP: of the ranking in Python.
    """

    product: float
    score: float
    python: float
    score_to_product: float
    python_to_score: float
    mAP: float
    python_mAP: float


@dataclass(frozen=True)
class RerankCost:
    """Re-ranked distances of all queries, as made by ours and by others.

    Attributes:
        seconds: of each, by name.
        gib: the most resident memory of each, less that before it.
        difference: the largest difference between the distances of ours and of any other.
    """

    seconds: dict[str, float]
    gib: dict[str, float]
    difference: float


@dataclass(frozen=True)
class GalleryCost:
    """Scoring of a large gallery.

    Attributes:
        seconds: of the score.
        features_gib: what the features take.
        above_features_gib: the most resident memory during the scoring less that before it.
    """

    seconds: float
    features_gib: float
    above_features_gib: float


def synthetic_features(
    queries: int, gallery: int, dims: int, *, identities: int, noise: float, seed: int = 0
) -> ReidFeatures:
    """Unit features of identities seen by six cameras: the centre of an identity plus noise.

    A quarter of the identities is in the gallery only, as MARS's distractors are.

    Args:
        queries: Q.
        gallery: G.
        dims: D.
        identities: how many.
        noise: length of the noise against that of the centre; infinity leaves noise alone, and the mAP of chance.
        seed: of the random numbers.
    """
    rng = np.random.default_rng(seed)
    centre = rng.standard_normal((identities, dims), dtype=np.float32)
    ids = rng.integers(0, identities, gallery)
    query_ids = rng.integers(0, max(1, identities * 3 // 4), queries)
    return ReidFeatures(
        query=_around(centre, query_ids, noise, rng),
        gallery=_around(centre, ids, noise, rng),
        query_ids=query_ids,
        gallery_ids=ids,
        query_cams=rng.integers(1, 7, queries),
        gallery_cams=rng.integers(1, 7, gallery),
    )


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
    """Score as torchreid's ``eval_market1501`` does: a full argsort, then a loop over the queries.

    Args:
        data: features of unit length.

    Returns:
        The mAP and rank-1.
    """
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
    queries: int = MARS_QUERIES,
    gallery: int = MARS_GALLERY,
    dims: int = 2048,
    *,
    noise: float = 2.5,
    repeat: int = 3,
    cpu: bool = False,
) -> ScoringTime:
    """Time the product, the complete score and the ranking in Python on the same synthetic features.

    Args:
        queries: Q.
        gallery: G.
        dims: D.
        noise: as ``synthetic_features`` takes it.
        repeat: rounds; the best one counts. The ranking in Python runs once.
        cpu: CPU time of this process instead of that of the clock.
    """
    import torch

    data = synthetic_features(queries, gallery, dims, identities=max(2, gallery // 14), noise=noise)
    query, items = torch.from_numpy(data.query), torch.from_numpy(data.gallery)
    # The faster of the two products is the mark: NumPy and PyTorch bring different BLAS libraries.
    seconds = interleaved(
        {
            "numpy": lambda: data.query @ data.gallery.T,
            "torch": lambda: query @ items.T,
            "score": lambda: data.score("cross-camera"),
        },
        rounds=repeat,
        cpu=cpu,
    )
    best = {name: min(rounds.values()) for name, rounds in seconds.items()}
    product, score = min(best["numpy"], best["torch"]), best["score"]
    with Stopwatch() as watch:
        python_map, _ = rank_in_python(data)
    python = watch.cpu if cpu else watch.seconds
    return ScoringTime(
        product=product,
        score=score,
        python=python,
        score_to_product=score / product,
        python_to_score=python / score,
        mAP=data.score("cross-camera").mAP,
        python_mAP=python_map,
    )


def bench_rerank(
    queries: int = MARS_QUERIES, gallery: int = MARS_GALLERY, dims: int = 2048, *, noise: float = 2.5, cpu: bool = False
) -> RerankCost:
    """Measure time and memory of re-ranking (memory: Linux).

    Args:
        queries: Q.
        gallery: G.
        dims: D.
        noise: as ``synthetic_features`` takes it.
        cpu: CPU time of this process instead of that of the clock.
    """
    data = synthetic_features(queries, gallery, dims, identities=max(2, gallery // 14), noise=noise)

    def ours() -> np.ndarray:
        blocks = KReciprocal().distance_blocks(Similarity(data.query, data.gallery))
        return np.concatenate([distance.astype(np.float32) for _, distance in blocks])

    def by_matrices(function: Callable[..., np.ndarray]) -> Callable[[], np.ndarray]:
        pairs = ((data.query, data.gallery), (data.query, data.query), (data.gallery, data.gallery))
        return lambda: function(*(np.sqrt(np.maximum(2 - 2 * (a @ b.T), 0)) for a, b in pairs))

    makers = {OURS: ours, DENSE: by_matrices(rerank_dense)}
    if (theirs := _torchreid()) is not None:
        makers[TORCHREID] = by_matrices(theirs)
    list(KReciprocal().distance_blocks(Similarity(data.query[:1], data.gallery[:40])))  # imports what it needs
    first, seconds, gib, difference = None, dict[str, float](), dict[str, float](), 0.0
    for name, make in makers.items():
        before = restart_peak()
        with Stopwatch() as watch:
            found = make()
        seconds[name] = watch.cpu if cpu else watch.seconds
        gib[name] = (peak_mebibytes() - before) / 2**10
        first = found if first is None else first
        difference = max(difference, float(np.abs(found - first).max()))
    return RerankCost(seconds, gib, difference)


def _torchreid() -> Callable[..., np.ndarray] | None:
    """The function of torchreid where it is installed: of its file alone, for the package imports much else."""
    package = find_spec("torchreid")
    folders = list(package.submodule_search_locations or ()) if package else []
    files = sorted(file for folder in folders for file in Path(folder).rglob("utils/rerank.py"))
    return run_path(str(files[0]))["re_ranking"] if files else None


def bench_gallery(queries: int = 1000, gallery: int = 1_000_000, dims: int = 512, *, noise: float = 2.0) -> GalleryCost:
    """Measure time and memory of scoring a large gallery (memory: Linux).

    Args:
        queries: Q.
        gallery: G.
        dims: D.
        noise: as ``synthetic_features`` takes it.
    """
    data = synthetic_features(queries, gallery, dims, identities=max(2, gallery // 20), noise=noise)
    warm = slice(0, 2)
    score_reid(data.query[warm], data.query[warm], [0, 1], [0, 1], [0, 0], [1, 1], protocol="cross-camera")
    before = restart_peak()
    with Stopwatch() as watch:
        data.score("cross-camera")
    above = (peak_mebibytes() - before) / 2**10
    return GalleryCost(watch.seconds, (data.query.nbytes + data.gallery.nbytes) / 2**30, above)


def report(*, large: bool = False, rerank: bool = False, status: Callable[[str], None] = silent) -> str:
    """Run the benchmarks and print them.

    Args:
        large: also a gallery of a million.
        rerank: also re-ranking, beside its published form.
        status: called with a line for each part.

    Returns:
        The table of ``specvid bench reid``.
    """
    cells = [["scoring, MARS size", "product", "score", "python", "score/product", "python/score", "mAP"]]
    for title, noise in (("features of a good model", 2.5), ("pure noise", np.inf)):
        status(title)
        row = bench_scoring(noise=noise)
        times = [f"{value:.2f} s" for value in (row.product, row.score, row.python)]
        shares = [f"{row.score_to_product:.2f}x", f"{row.python_to_score:.1f}x"]
        cells.append([title, *times, *shares, f"{100 * row.mAP:.2f}"])
    lines = [to_text(cells, align="<>", rule=False)]
    if rerank:
        status("re-ranking")
        both = bench_rerank()
        lines += ["", _rerank_table(both)]
    if large:
        status("a gallery of a million")
        cost = bench_gallery()
        lines.append(
            f"gallery of 1,000,000 x 512, 1,000 queries: {cost.seconds:.1f} s, "
            f"{cost.above_features_gib:.2f} GiB above the features' {cost.features_gib:.2f} GiB"
        )
    return "\n".join(lines)


def _rerank_table(cost: RerankCost) -> str:
    cells = [["re-ranking, MARS size", "time", "memory above the features", "time / ours"]]
    for name, seconds in cost.seconds.items():
        ratio = f"{seconds / cost.seconds[OURS]:.2f}x"
        cells.append([name, f"{seconds:.1f} s", f"{cost.gib[name]:.2f} GiB", ratio])
    return f"{to_text(cells, align='<>', rule=False)}\ndistances differ by {cost.difference:.1g} at most"
