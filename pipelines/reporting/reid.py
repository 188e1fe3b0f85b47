"""An evaluation of re-identification: CMC, AP, cameras, and for each query what was ranked first."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from specvid.datasets.layouts.reid_set import Tracklet
from specvid.eval.reid.features import ReidFeatures
from specvid.eval.reid.files import load_features
from specvid.eval.reid.ranked_lists import RankedLists, rank_lists
from specvid.eval.reid.rerank import KReciprocal
from specvid.pipelines.reporting.charts import Chart, Series, histogram
from specvid.pipelines.reporting.pictures import Pictures
from specvid.pipelines.reporting.run_part import RERANKED, EvaluationPart, RunPart, evaluation_name, facts_of, percent
from specvid.pipelines.reporting.runs import number, read_table, require_inside
from specvid.text import counted

_MOST_QUERIES = 600  # with strips: all, or the worst, the best and an even choice of the others
_MOST_CAMERAS = 40
_FIGURES = ("mAP", "mINP", "rank1", "rank5", "rank10", "rank20")
_COUNTS = ("queries", "valid_queries", "gallery_tracklets", "junk_tracklets", "left_out_queries", "left_out_junk")
_GONE = "The pictures are not where they were scored: --data DIR says where they lie now."
_ELSEWHERE = "The pictures are of another data set than the training's, which a report does not look for."


def add_reid(
    run: RunPart, key: str, entry: Mapping[str, Any], folder: Path | None, tracklets: Mapping[str, Tracklet],
    pictures: Pictures,
) -> None:  # fmt: skip
    """Add an evaluation to a run's part of the report.

    Args:
        run: the part.
        key: of the evaluation in it.
        entry: of results.json.
        folder: with the evaluation's queries-PROTOCOL.csv and features.parquet; None where it is gone.
        tracklets: the test tracklets by name; empty where the data are not there.
        pictures: makes the small pictures.
    """
    scores = {str(name): score for name, score in entry["protocols"].items() if isinstance(score, Mapping)}
    main = str(entry.get("protocol")) if entry.get("protocol") in scores else next(iter(scores), "")
    remarks = [f"{name}: {score.get('about', '')}" for name, score in scores.items()]
    remarks += [f"{name}: not scored, {why}" for name, why in dict(entry.get("not_scored") or {}).items()]
    for kind, words in (("unreadable", "files could not be read"), ("lost", "tracklets have no readable frame")):
        if isinstance(entry.get(kind), list) and entry[kind]:
            remarks.append(f"{len(entry[kind])} {words}: {', '.join(map(str, entry[kind][:5]))}")
    charts = [_cmc(key, scores)] if scores else []
    own, strips = evaluation_name(entry), ""
    if not scores:
        remarks.append("Nothing could be scored.")
    elif folder is None:
        run.missing.append(f"{own}: the folder with its queries and features is gone, so there are no ranked strips")
    else:
        protocol = scores[main]
        table = run.record.attempt(f"{own}: queries", read_table, folder, f"queries-{main}.csv") or []
        aps = [ap for ap in (number(row.get("ap")) for row in table) if ap is not None]
        if aps:
            title = f"Average precision of {len(aps)} queries ({main})"
            charts.append(histogram(f"{key}-ap", title, aps, x="average precision", y="queries"))
        lost = sum(number(row.get("ap")) is None and bool(number(row.get("matches"))) for row in table)
        if lost:
            run.missing.append(f"{own}: AP of {counted(lost, 'query')} is no number in queries-{main}.csv")
        found = run.record.attempt(f"{own}: ranked strips", _rank, folder, main, protocol)
        if found is not None:
            features, ranked = found
            charts += [_cameras(key, main, ranked)] if len(ranked.gallery_cameras) <= _MOST_CAMERAS else []
            island = _strips(features, ranked, table, tracklets, pictures)
            island["why"] = "" if tracklets else _ELSEWHERE if entry.get("elsewhere") else _GONE
            island |= {"protocol": main, "metric": str(protocol.get("metric", "cosine")),
                       "rerank": str(protocol.get("rerank") or "")}  # fmt: skip
            run.islands.setdefault("strips", {})[key] = island
            strips = key
            remarks.append(_camera_labels(main, ranked))
    run.charts += charts
    figures = " · ".join(f"{name} {percent(scores[main].get(name))} %" for name in ("mAP", "rank1")) if main else "-"
    title = f"{entry.get('dataset', 'Evaluation')}: {figures} ({main})"
    keys = [chart.key for chart in charts]
    run.evaluations.append(EvaluationPart(key, title, facts_of(entry), _rows(scores), remarks, keys, strips=strips))


def _rows(scores: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """The figures of each protocol, with what they are of."""
    if not scores:
        return []
    rows = [["protocol", *_FIGURES, *(name.replace("_", " ") for name in _COUNTS)]]
    for name, score in scores.items():
        figures = [percent(score.get(figure)) for figure in _FIGURES]
        rows.append([name, *figures, *(str(score.get(count, "-")) for count in _COUNTS)])
    return rows


def _camera_labels(protocol: str, ranked: RankedLists) -> str:
    cameras = sorted({*ranked.query_cameras, *ranked.gallery_cameras})
    some = ", ".join(cameras[:12]) + (", ..." if len(cameras) > 12 else "")
    return (
        f"Camera labels ({some}) are used by the protocol {protocol}: the query's identity under its own camera is "
        "junk, neither right nor wrong. The network and the ranking are not given them."
    )


def _rank(folder: Path, protocol: str, score: Mapping[str, Any]) -> tuple[ReidFeatures, RankedLists]:
    features = load_features(require_inside(folder / "features.parquet", folder))
    how = RERANKED.search(str(score.get("rerank") or ""))
    rerank = KReciprocal(int(how[1]), int(how[2]), float(how[3])) if how else None
    return features, rank_lists(features, protocol, metric=str(score.get("metric", "cosine")), rerank=rerank)


def _cmc(key: str, scores: Mapping[str, Mapping[str, Any]]) -> Chart:
    lines: list[Series] = []
    for name, score in scores.items():
        cmc = score.get("cmc")
        values = [number(value) for value in cmc] if isinstance(cmc, list) else []
        alike = next((i for i, line in enumerate(lines) if values and line.y == values), None)
        if alike is None:
            lines.append(Series(name, [float(rank) for rank in range(1, len(values) + 1)], values))
        else:  # one curve would hide the other
            lines[alike] = replace(lines[alike], name=f"{lines[alike].name} = {name}")
    title = "Cumulative matching characteristic (CMC)"
    return Chart(f"{key}-cmc", title, "lines", "rank", "queries with a match", tuple(lines), percent=True)


def _cameras(key: str, protocol: str, ranked: RankedLists) -> Chart:
    z = tuple(tuple(None if np.isnan(ap) else float(ap) for ap in row) for row in ranked.mean_ap)
    title = f"mAP by camera, of how many queries ({protocol})"
    of = tuple(tuple(counted(int(n), "query") for n in row) for row in ranked.queries)
    return Chart(
        f"{key}-cameras",
        title,
        "heat",
        "gallery camera",
        "query camera",
        rows=tuple(ranked.query_cameras),
        columns=tuple(ranked.gallery_cameras),
        z=z,
        percent=True,
        of=of,
    )


def _strips(
    features: ReidFeatures, ranked: RankedLists, table: Sequence[Mapping[str, str]],
    tracklets: Mapping[str, Tracklet], pictures: Pictures,
) -> dict[str, Any]:  # fmt: skip
    """What the page's script needs: queries with AP and list, tracklets with pictures."""
    about = {int(row["query"]): row for row in table if row.get("query", "").isdecimal()}
    ap = [number(about.get(i, {}).get("ap")) for i in range(len(ranked.lists))]
    worst = sorted((i for i in range(len(ap)) if ap[i] is not None), key=lambda i: ap[i] or 0.0)
    chosen = _choose(worst, len(ranked.lists))
    items: dict[tuple[str, int], int] = {}
    queries = []
    for i in chosen:
        one, row = ranked.lists[i], about.get(i, {})
        numbers = [items.setdefault(("gallery", int(item)), len(items)) for item in one.items]
        scores = [round(float(score), 3) for score in one.scores]
        first, matches = number(row.get("first_rank")), number(row.get("matches"))
        own = items.setdefault(("query", i), len(items))
        found = list(zip(numbers, scores, one.kinds.tolist(), strict=True))
        queries.append({"i": i, "t": own, "ap": ap[i], "first": first, "matches": matches, "list": found})
    shown = [_tracklet(features, side, index) for side, index in items]
    names = list(dict.fromkeys(own["n"] for own in shown if own["n"] in tracklets))
    middles = [tracklets[name].path(len(tracklets[name]) // 2) for name in names]
    made = dict(zip(names, pictures.frames(middles), strict=True))
    place = {name: i for i, name in enumerate(name for name in names if made[name])}
    return {
        "pictures": [made[name] for name in place],
        "tracklets": [own | {"s": place.get(own["n"], -1)} for own in shown],
        "queries": queries,
        "total": len(ranked.lists),
        "cameras": ranked.query_cameras,
    }


def _choose(worst: list[int], total: int) -> list[int]:
    """The queries that get a strip: worst first, then the best, then others at even distances."""
    if total <= _MOST_QUERIES:
        rest = sorted(set(range(total)) - set(worst))
        return [*worst, *rest]
    third = _MOST_QUERIES // 3
    even = [worst[int(i)] for i in np.linspace(0, len(worst) - 1, third)] if worst else []
    return list(dict.fromkeys([*worst[:third], *reversed(worst[-third:]), *even]))


def _tracklet(features: ReidFeatures, side: str, row: int) -> dict[str, Any]:
    names = getattr(features, f"{side}_names")
    labels = [getattr(features, f"{side}_{what}")[row] for what in ("ids", "cams")]
    return {"n": f"{side} {row}" if names is None else str(names[row]), "id": str(labels[0]), "c": str(labels[1])}
