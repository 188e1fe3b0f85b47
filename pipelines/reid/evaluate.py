"""Scoring trained re-ID runs, and anybody's features, under named protocols; the mean over splits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from specvid.config import from_dict
from specvid.datasets.layouts.registry import read_reid
from specvid.datasets.layouts.reid_set import ReidSet
from specvid.eval.reid.feature_files import load_features
from specvid.eval.reid.protocols import MARS_PROTOCOLS, NoMatchError, get_protocol
from specvid.eval.reid.rerank import KReciprocal
from specvid.eval.reid.result import over_splits
from specvid.pipelines.action.evaluate import pair
from specvid.pipelines.engine.config import EngineConfig
from specvid.pipelines.engine.fabric import make_fabric
from specvid.pipelines.engine.log import echo
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.networks import open_model
from specvid.pipelines.reid.config import ReidConfig, TrackletConfig
from specvid.pipelines.reid.data import chunks_for
from specvid.pipelines.reid.features import embed_tracklets
from specvid.pipelines.reid.labels import check_scorable
from specvid.pipelines.reid.results import (
    ReidScored,
    describe,
    entry_of,
    keep,
    score_all,
    score_features,
    write_tables,
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What is wanted of each scoring.

    ``protocol``: "" for the data set's own; ``every``: MARS's three; ``metric``: of anybody's features, those of runs
    have unit length.
    """

    protocol: str = ""
    every: bool = False
    rerank: KReciprocal | None = None
    metric: str = "cosine"
    sampling: str = ""
    flip: bool = False
    checkpoint: str = "last"
    force: bool = False

    def protocols(self, own: str) -> tuple[str, ...]:
        """Names in the order to be printed. Raises ValueError where all are asked for and there is but one."""
        chosen = get_protocol(self.protocol or own).name
        if not self.every:
            return (chosen,)
        if chosen not in MARS_PROTOCOLS:
            raise ValueError(
                f"--all-protocols prints MARS's three ({', '.join(MARS_PROTOCOLS)}) side by side, and this is scored "
                f"under {chosen}. Leave --all-protocols out, or add --protocol mars where the features are MARS's."
            )
        return MARS_PROTOCOLS


def evaluate(
    runs: Sequence[str | Path],
    asked: Asked,
    *,
    splits: Sequence[int] = (),
    dataset: str = "",
    data: str = "",
    engine: EngineConfig | None = None,
    echo: Callable[[str], None] = echo,
) -> tuple[dict[str, Any], int]:
    """Scores each run on its split's test identities, prints and keeps the figures. Returns them, and the exit code.

    ``splits``: which ones; each needs a run that was trained on it. Without, each run is scored on its own split.
    ``dataset``, ``data``: another data set than the one that was trained on (every run is scored on each of ``splits``
    then, by default the first), or where it lies now. ``echo`` gets the text.
    """
    engine = engine or EngineConfig(batch_size=32)
    fabric = make_fabric(engine)
    folders = [RunFolder(run) for run in runs]
    trained = [_trained_on(folder) for folder in folders]
    entries, scored_runs = [], []
    foreign = any(dataset not in ("", own.dataset) for own in trained)
    for number, split in pair(
        [str(folder.path) for folder in folders], [own.split for own in trained],
        splits or [1] if foreign else splits, force=asked.force or foreign,
    ):  # fmt: skip
        scored = _score(fabric, folders[number], trained[number], split, asked, dataset, data, engine)
        scored_runs.append(scored)
        entries.append({"run": str(folders[number].path), **entry_of(scored)})
        if fabric.is_global_zero:
            echo(describe(str(folders[number].path), scored, keep(folders[number], scored)))
        fabric.barrier()
    means = _means(scored_runs, echo if fabric.is_global_zero else lambda text: None)
    return {"evaluations": entries, "mean": means}, max(scored.exit_code for scored in scored_runs)


def evaluate_features(
    files: Sequence[str | Path], asked: Asked, *, out: str = "", echo: Callable[[str], None] = echo
) -> tuple[dict[str, Any], int]:
    """Scores files of features (Parquet or npz), without any model; several are the splits of one data set.

    The protocol is the one asked for, else the one noted in the file, else ``cross-camera``, or MARS's three where all
    are asked for. ``out``: folder for JSON and CSV.
    """
    entries, all_scored = [], []
    for number, file in enumerate(files, start=1):
        features = load_features(file)
        noted = str(features.about.get("protocol") or ("mars" if asked.every else "cross-camera"))
        protocols = asked.protocols(noted)
        try:
            scores, failed = score_features(features, protocols, rerank=asked.rerank, metric=asked.metric)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        if not asked.every and failed:
            raise NoMatchError(f"{file}: {failed[protocols[0]]}")
        scored = ReidScored(features, scores, failed, features.about, asked.rerank)
        all_scored.append(scored)
        entries.append({"features": str(file), **entry_of(scored)})
        folder = Path(out) / (f"{number:02d}-{Path(file).stem}" if len(files) > 1 else "") if out else None
        if folder is not None:
            write_tables(folder, scored, with_features=False)
        echo(describe(str(file), replace(scored, about={})))
        if folder is not None:
            echo(f"  per query: {folder}")
    return {"evaluations": entries, "mean": _means(all_scored, echo)}, max(scored.exit_code for scored in all_scored)


def _means(scored: Sequence[ReidScored], echo: Callable[[str], None]) -> dict[str, Any]:
    """Mean and deviation over several scorings, for each protocol that all of them have."""
    if len(scored) < 2:
        return {}
    means = {}
    for protocol in [score.protocol for score in scored[0].scores]:
        scores = [score for one in scored for score in one.scores if score.protocol == protocol]
        if len(scores) == len(scored):
            mean = over_splits(scores)
            means[protocol] = {key: value for key, value in mean.as_dict().items() if key != "splits"}
            echo(str(mean))
    return means


def _trained_on(folder: RunFolder) -> TrackletConfig:
    content = {key: value for key, value in folder.config().items() if key != "specvid"}
    if "tracklets" not in content:
        raise ValueError(f"run {str(folder.path)!r} is no re-ID run. Score it with `specvid eval action`.")
    return from_dict(ReidConfig, content, where=f"config {folder.path / 'config.json'}").tracklets


def _score(
    fabric: Fabric, folder: RunFolder, trained: TrackletConfig, split: int, asked: Asked, dataset: str, data: str,
    engine: EngineConfig,
) -> ReidScored:  # fmt: skip
    """One run on one split's test identities."""
    model, meta = open_model(folder, asked.checkpoint)
    same_layout = dataset in ("", trained.dataset)
    test = read_reid(dataset or trained.dataset, data or trained.data, split=split)
    here = not test.source or test.source == str(Path(trained.data).resolve())
    # A published set numbers its identities the same way wherever it lies, and however much of it; own data does not.
    same_identities = same_layout and (here or trained.dataset != "tracklets")
    protocols = asked.protocols(test.protocol)
    check_scorable(test, protocols)
    leaked = _leaked(test, meta["identities"]) if same_identities else 0
    if leaked and not asked.force:
        raise ValueError(
            f"run {str(folder.path)!r} was trained on split {trained.split}: {leaked} of the identities in the test of "
            f"split {split} "
            "were among those it was trained on, so the figure would be worthless. "
            "Give a run trained on that split, or --force to print it anyway, marked."
        )
    sampling = asked.sampling or meta["test_sampling"]
    chunks = chunks_for(test.test, model.input, sampling)
    reading: dict[str, Any] = {"batch_size": engine.batch_size, "workers": engine.workers, "flip": asked.flip}
    fabric.to_device(model)
    found = embed_tracklets(fabric, model, chunks, title=folder.name, **reading)
    return score_all(
        test, found, checkpoint=asked.checkpoint, sampling=sampling + ("-flip" if asked.flip else ""),
        protocols=protocols, rerank=asked.rerank, leaked=leaked,
        elsewhere=not (same_layout and here and test.title == meta["data"]["title"]),
    )  # fmt: skip


def _leaked(test: ReidSet, identities: Sequence[int | str]) -> int:
    """How many of the test identities were trained on; distractors and junk are nobody."""
    return len({tracklet.pid for tracklet in test.test} & set(identities))
