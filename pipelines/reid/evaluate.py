"""Scoring trained re-ID runs, and anybody's features, under named protocols; the mean over splits."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from specvid.datasets.clips.spec import ClipSpec
from specvid.datasets.layouts.registry import read_reid
from specvid.eval.reid.files import load_features
from specvid.eval.reid.protocols import MARS_PROTOCOLS, NoMatchError, get_protocol
from specvid.files import output_folder
from specvid.pipelines.engine.config import ComputeConfig
from specvid.pipelines.engine.evaluation import TrainedRun, evaluate_runs, refuse_leak
from specvid.pipelines.engine.fabric import make_fabric
from specvid.pipelines.engine.layout import for_inference
from specvid.pipelines.engine.log import echo as to_stdout
from specvid.pipelines.networks.config import NetworkConfig
from specvid.pipelines.networks.opening import open_network
from specvid.pipelines.reid.config import ReidConfig, ReidEvaluationConfig, UntrainedConfig
from specvid.pipelines.reid.data import make_chunks
from specvid.pipelines.reid.features import check_scorable, embed_tracklets
from specvid.pipelines.reid.results import ReidResult, mean_over_splits, score_features, write_tables


def evaluate(
    runs: Sequence[str | Path],
    config: ReidEvaluationConfig | None = None,
    *,
    splits: Sequence[int] = (),
    compute: ComputeConfig | None = None,
    echo: Callable[[str], None] = to_stdout,
) -> dict[str, Any]:
    """Score runs on the test identities of their splits; print and save the figures.

    Args:
        runs: their folders.
        config: protocols, re-ranking, checkpoint and data.
        splits: which ones, each with a run that was trained on it; none: each run on its own split. Of another data set
            than the one that was trained on, every run is scored on each of them, or on the first.
        compute: device, precision, batch size and workers.
        echo: gets the printed text.

    Returns:
        ``{"evaluations": [...], "mean": {protocol: ...}}``.

    Raises:
        ValueError: a folder that is no run, a split without its run, nothing to score, or test identities that were
            trained on.
    """
    config, compute = config or ReidEvaluationConfig(), compute or ComputeConfig(batch_size=32)
    fabric = make_fabric(compute)
    trained = [TrainedRun.open(run, ReidConfig) for run in runs]
    foreign = any(config.dataset not in ("", run.config.clips.dataset) for run in trained)
    score = partial(_score, fabric=fabric, config=config, compute=compute)
    entries, results = evaluate_runs(
        trained,
        score,
        fabric=fabric,
        splits=splits or [1] if foreign else splits,
        any_split=config.force or foreign,
        echo=echo,
    )
    return {"evaluations": entries, "mean": _means(results, echo if fabric.is_global_zero else lambda text: None)}


def evaluate_network(
    network: UntrainedConfig,
    config: ReidEvaluationConfig,
    *,
    splits: Sequence[int] = (),
    out: str = "",
    compute: ComputeConfig | None = None,
    echo: Callable[[str], None] = to_stdout,
) -> dict[str, Any]:
    """Score a network that was not trained here, as its weights are, on the test identities of a data set.

    Args:
        network: which one, and the clips that it is given.
        config: data set and its folder, protocols, re-ranking, sampling.
        splits: which ones; the first if none are given.
        out: folder for JSON, CSV and features; none are written without.
        compute: device, precision, batch size and workers.
        echo: gets the printed text.

    Returns:
        ``{"evaluations": [...], "mean": {protocol: ...}}``.

    Raises:
        ValueError: no data, an unknown model, weights that do not fit it, or nothing to score.
    """
    if not config.data:
        raise ValueError("data is not given: --data DIR must name the folder of the data set to score on.")
    if out:
        output_folder("out", out)
    compute = compute or ComputeConfig(batch_size=32)
    fabric = make_fabric(compute)
    model = open_network(NetworkConfig(model=network.model, blocks=network.blocks, weights=network.weights)).model
    height, width = network.height or model.input.crop[0], network.width or model.input.crop[1]
    given = {"frames": network.frames, "interpolation": network.interpolation}
    changes = {name: value for name, value in given.items() if value is not None}
    model.input = model.input.override({**changes, "size": (height, width), "resize": (height, width)})
    model = for_inference(fabric, model)
    sampling, entries, results = config.test_sampling or "all", [], []
    for split in splits or (1,):
        test = read_reid(config.dataset or "mars", config.data, split=split)
        protocols = protocols_of(config, test.protocol)
        check_scorable(test, protocols)
        chunks = make_chunks(test.test, ClipSpec.of(model.input), sampling=sampling)
        found = embed_tracklets(fabric, model, chunks, compute=compute, flip=config.flip_test, title=network.model)
        how = sampling + ("-flip" if config.flip_test else "")
        rerank = config.reranking()
        result = ReidResult.of(
            test, found, checkpoint="", sampling=how, spec=chunks.spec, protocols=protocols, rerank=rerank
        )
        folder = Path(out) / (f"split{split}" if len(splits) > 1 else "") if out else None
        if folder is not None and fabric.is_global_zero:
            write_tables(folder, result)
        if fabric.is_global_zero:
            echo(result.describe(network.title, folder))
        results.append(result)
        entries.append({"network": network.title, **result.entry()})
    return {"evaluations": entries, "mean": _means(results, echo if fabric.is_global_zero else lambda text: None)}


def evaluate_features(
    files: Sequence[str | Path],
    config: ReidEvaluationConfig | None = None,
    *,
    out: str = "",
    echo: Callable[[str], None] = to_stdout,
) -> dict[str, Any]:
    """Score files of features (Parquet or npz), without any model; several are the splits of one data set.

    Args:
        files: of features.
        config: protocols, metric and re-ranking. The protocol is the one given, else the one noted in the file, else
            ``cross-camera``, or MARS's three where all are asked for.
        out: folder for JSON and CSV; none are written without.
        echo: gets the printed text.

    Returns:
        ``{"evaluations": [...], "mean": {protocol: ...}}``.

    Raises:
        ValueError: a file that cannot be read, or nothing to score in it.
    """
    config = config or ReidEvaluationConfig()
    if out:
        output_folder("out", out)
    entries, results = [], []
    for number, file in enumerate(files, start=1):
        features = load_features(file)
        noted = str(features.about.get("protocol") or ("mars" if config.all_protocols else "cross-camera"))
        protocols, rerank = protocols_of(config, noted), config.reranking()
        try:
            scores, failed = score_features(features, protocols, rerank=rerank, metric=config.metric)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        if not config.all_protocols and failed:
            raise NoMatchError(f"{file}: {failed[protocols[0]]}")
        result = ReidResult(features, scores, failed, features.about, rerank)
        results.append(result)
        entries.append({"features": str(file), **result.entry()})
        folder = Path(out) / (f"{number:02d}-{Path(file).stem}" if len(files) > 1 else "") if out else None
        if folder is not None:
            write_tables(folder, result, with_features=False)
        echo(replace(result, about={}).describe(str(file)))
        if folder is not None:
            echo(f"  per query: {folder}")
    return {"evaluations": entries, "mean": _means(results, echo)}


def protocols_of(config: ReidEvaluationConfig, own: str) -> tuple[str, ...]:
    """The protocols to score under.

    Args:
        config: names one, or asks for all.
        own: that of the data set.

    Returns:
        Their names, in the order to be printed.

    Raises:
        ValueError: a protocol is unknown, or all are asked for and there is but one.
    """
    chosen = get_protocol(config.protocol or own).name
    if not config.all_protocols:
        return (chosen,)
    if chosen not in MARS_PROTOCOLS:
        raise ValueError(
            f"--all-protocols prints MARS's three ({', '.join(MARS_PROTOCOLS)}) side by side, and this is scored "
            f"under {chosen}. Leave --all-protocols out, or add --protocol mars where the features are MARS's."
        )
    return MARS_PROTOCOLS


def _means(results: Sequence[ReidResult], echo: Callable[[str], None]) -> dict[str, Any]:
    """Mean and deviation over several scorings, printed."""
    means = mean_over_splits(results)
    for mean in means.values():
        echo(str(mean))
    return {name: {k: v for k, v in mean.as_dict().items() if k != "splits"} for name, mean in means.items()}


def _score(
    run: TrainedRun[ReidConfig], split: int, *, fabric: Fabric, config: ReidEvaluationConfig, compute: ComputeConfig
) -> ReidResult:
    """One run on one split's test identities."""
    trained_on = run.config.clips
    network = NetworkConfig(run=str(run.folder.path), checkpoint=config.checkpoint, trust=config.trust)
    opened = open_network(network)
    model, metadata = opened.model, opened.metadata
    same_dataset = config.dataset in ("", trained_on.dataset)
    test = read_reid(config.dataset or trained_on.dataset, config.data or trained_on.data, split=split)
    here = not test.source or test.source == str(Path(trained_on.data).resolve())
    # A published set numbers its identities the same way wherever it lies, and however much of it; own data does not.
    same_identities = same_dataset and (here or trained_on.dataset != "tracklets")
    protocols = protocols_of(config, test.protocol)
    check_scorable(test, protocols)
    # Distractors and junk are nobody, and nobody was trained on.
    leaked = len({tracklet.pid for tracklet in test.test} & set(metadata["identities"])) if same_identities else 0
    if not config.force:
        refuse_leak(run, split, leaked, "identities")
    sampling = config.test_sampling or metadata["test_sampling"]
    chunks = make_chunks(test.test, ClipSpec.of(model.input), sampling=sampling)
    model = for_inference(fabric, model)
    found = embed_tracklets(fabric, model, chunks, compute=compute, flip=config.flip_test, title=run.folder.name)
    return ReidResult.of(
        test,
        found,
        checkpoint=config.checkpoint,
        sampling=sampling + ("-flip" if config.flip_test else ""),
        spec=chunks.spec,
        protocols=protocols,
        rerank=config.reranking(),
        leaked=leaked,
        elsewhere=not (same_dataset and here and test.title == metadata["data"]["title"]),
    )
