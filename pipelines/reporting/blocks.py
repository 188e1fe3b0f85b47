"""What the blocks of a run do: how much they add, their gates, what they look at in chosen clips, what they filter."""

from collections.abc import Mapping
from typing import Any

import torch

from specvid.config import read_config
from specvid.datasets.clips.spec import ClipSpec
from specvid.errors import VideoError
from specvid.pipelines.action.config import ActionConfig
from specvid.pipelines.action.data import clip_spec, make_views
from specvid.pipelines.engine.block_use import UNUSED
from specvid.pipelines.engine.isolated import IsolatedCalls
from specvid.pipelines.networks.config import NetworkConfig
from specvid.pipelines.networks.opening import OpenedNetwork, open_network
from specvid.pipelines.reid.data import make_chunks
from specvid.pipelines.reporting.affinity import (
    ClipInput,
    affinity_map,
    blocks_of,
    frames_of_clip,
    inputs_of_blocks,
    largest_eigenvalues,
)  # fmt: skip
from specvid.pipelines.reporting.charts import Chart, Series
from specvid.pipelines.reporting.run_part import RunPart
from specvid.pipelines.reporting.runs import number

_CLIPS = 3
_MOST_BLOCKS = 6
_COLUMNS = {"parameters": "parameters", "share": "adds to the features", "gate_start": "gate at the start",
            "gate_mean": "mean gate", "gate_max": "largest gate"}  # fmt: skip


def add_blocks(run: RunPart, *, size: int) -> None:
    """Add what the blocks do to a run's part of the report.

    Args:
        run: the part, with its data and evaluations.
        size: bytes of all affinities together.
    """
    if not any(value not in ("", "-") for name, value in run.settings if name == "net.blocks"):
        run.missing.append("what the blocks do: the network has none")
        return
    run.blocks += _use(run.training.get("blocks"))
    run.missing.extend(_unused(run.training.get("blocks")))
    opened = run.record.attempt("what the blocks look at", open_network, NetworkConfig(run=str(run.record.path)))
    if opened is None:
        return
    blocks = {path: inserted.block for path, inserted in blocks_of(opened.model).items()}
    silent = [path for path, block in blocks.items() if not hasattr(block, "affinity_rows")]
    if silent:
        run.missing.append(
            f"what {', '.join(map(_short, silent))} looks at: such a block gives no affinity of positions"
        )
    blocks = {path: block for path, block in blocks.items() if path not in silent}
    if not blocks:
        return
    run.record.attempt("the response of the filters", _add_response, run, blocks)
    clips = run.record.attempt("clips for the blocks", _clips, run, opened)
    if not clips:
        run.missing.append("what the blocks look at: there is no clip of the test part to show it on")
        return
    record = run.record
    inputs = [record.attempt("clips for the blocks", inputs_of_blocks, opened.model, clip) or {} for clip in clips]
    spectra: list[Series] = []
    shown = list(blocks.items())[:_MOST_BLOCKS]
    if len(shown) < len(blocks):
        run.missing.append(f"what the blocks look at: only the first {len(shown)} of {len(blocks)} are shown")
    for i, (path, block) in enumerate(shown):
        parts = []
        for clip, seen in zip(clips, inputs, strict=True):
            if path not in seen:
                continue
            found = run.record.attempt(f"block {path}", affinity_map, block, *seen[path],
                                       size=size // (len(shown) * len(clips)))  # fmt: skip
            if found is not None:
                parts.append(found | {"title": clip.title, "frames": frames_of_clip(clip, found["cells"][0])})
            values = run.record.attempt(f"block {path}", largest_eigenvalues, block, *seen[path])
            if values:
                places = [float(place) for place in range(1, len(values) + 1)]
                spectra.append(Series(f"{_short(path)}: {clip.title}", places, values))
        if parts:
            run.islands.setdefault("affinities", {})[f"block{i}"] = {"place": path, "parts": parts}
            run.affinities.append(f"block{i}")
    if spectra:
        title = "Spectrum of the affinity: its largest eigenvalues"
        run.charts.append(Chart("spectrum", title, "lines", "number", "eigenvalue", tuple(spectra)))
        run.block_charts.append("spectrum")


def _use(blocks: Any) -> list[list[str]]:
    """The table of what results.json says of the blocks."""
    rows = [block for block in blocks if isinstance(block, Mapping)] if isinstance(blocks, list) else []
    if not rows:
        return []
    table = [["place", "block", *_COLUMNS.values()]]
    for block in rows:
        cells = []
        for name in _COLUMNS:
            value = number(block.get(name))
            text = "-" if value is None else f"{100 * value:.2f} %" if name == "share" else f"{value:,.4g}"
            cells.append(f"{value:,.0f}" if name == "parameters" and value is not None else text)
        table.append([str(block.get("place", "-")), str(block.get("block", "-")), *cells])
    return table


def _unused(blocks: Any) -> list[str]:
    """What to say of blocks that the training never used."""
    rows = [block for block in blocks if isinstance(block, Mapping)] if isinstance(blocks, list) else []
    shares = {str(block.get("place", "-")): number(block.get("share")) for block in rows}
    return [
        f"block {place} was never used: it adds {100 * share:.2g} % to the features (less than {100 * UNUSED:g} %). "
        "What it looks at below was not learned"
        for place, share in shares.items()
        if share is not None and share < UNUSED
    ]


def _add_response(run: RunPart, blocks: Mapping[str, Any]) -> None:
    series = []
    for path, block in blocks.items():
        eigenvalues, gains = block.response()
        for unit, gain in enumerate(gains):
            name = _short(path) + (f", unit {unit + 1}" if len(gains) > 1 else "")
            series.append(Series(name, (1 - eigenvalues).tolist(), gain.tolist()))
    title = "Response of the learned filters"
    run.charts.append(
        Chart("response", title, "lines", "frequency of the graph (1 - eigenvalue)", "gain", tuple(series))
    )
    run.block_charts.append("response")


def _short(path: str) -> str:
    return path.removeprefix("backbone.")


def _clips(run: RunPart, opened: OpenedNetwork) -> list[ClipInput]:
    """The clips to show: of actions a sure mistake, an unsure and a sure hit; of re-ID two tracklets of one person."""
    data = run.data
    if data is None:
        raise ValueError("the data are not where the run was trained; --data DIR says where they lie now")
    with IsolatedCalls(seconds=120) as isolated:
        if run.record.task == "reid":
            spec = ClipSpec.of(opened.model.input)
            tracklets = [data.tracklets[name] for name in _same_person(run)]
            return [
                _input(f"{one.name}, camera {one.camid}", spec, *isolated(str(one.path(0)), _read_tracklet, one, spec))
                for one in tracklets
            ]
        spec = clip_spec(opened.model.input, read_config(ActionConfig, run.record.path / "config.json").clips)
        found = []
        for title, name in _telling(run):
            record = data.clips[name]
            try:
                found.append(_input(title, spec, *isolated(str(record.path), _read_clip, record, spec)))
            except VideoError as error:
                run.missing.append(f"clips for the blocks: {error}")
        return found


def _telling(run: RunPart) -> list[tuple[str, str]]:
    """Test clips that are worth a look: title and name."""
    assert run.data is not None
    for part in run.islands.get("confusions", {}).values():
        clips, classes = part["clips"], part["classes"]
        known = [i for i, clip in enumerate(clips) if clip["n"] in run.data.clips and "e" not in clip]
        sure = sorted((i for i in known if clips[i]["t"] == clips[i]["p"]), key=lambda i: -(clips[i]["c"] or 0))
        kinds = {"sure hit": sure, "mistake": [i for i in part["mistakes"] if i in known], "unsure hit": part["unsure"]}
        chosen = [(kind, numbers[0]) for kind, numbers in kinds.items() if numbers and numbers[0] in known]
        seen = {i: f"{kind}: {classes[clips[i]['t']]}" for kind, i in reversed(chosen)}
        if seen:
            return [(title, clips[i]["n"]) for i, title in seen.items()][:_CLIPS]
    return [(name, name) for name in list(run.data.clips)[:_CLIPS]]


def _same_person(run: RunPart) -> list[str]:
    """Names of two tracklets of one person: a query and its first match, of a query that was answered right."""
    assert run.data is not None
    tracklets = run.data.tracklets
    for part in run.islands.get("strips", {}).values():
        names = [own["n"] for own in part["tracklets"]]
        for query in reversed(part["queries"]):
            matches = [names[item] for item, _, kind in query["list"] if kind == 1]
            pair = [names[query["t"]], *matches[:1]]
            if len(pair) == 2 and all(name in tracklets for name in pair):
                return pair
    people: dict[Any, list[str]] = {}
    for name, one in tracklets.items():
        people.setdefault(one.pid, []).append(name)
    return next((names[:2] for names in people.values() if len(names) > 1), list(tracklets)[:2])


def _input(title: str, spec: ClipSpec, video: Any, mask: Any) -> ClipInput:
    frames = None if mask is None else torch.from_numpy(mask)
    return ClipInput(title, torch.from_numpy(video), frames, spec.mean, spec.std)


def _read_clip(record: Any, spec: ClipSpec) -> tuple[Any, None]:
    """One view of a clip, as evaluation sees it."""
    item = make_views([record], spec, clips=1, crops=1)[0]
    if item["error"]:
        raise VideoError(record.path, item["error"])
    return item["video"][0].numpy(), None


def _read_tracklet(tracklet: Any, spec: ClipSpec) -> tuple[Any, Any]:
    """Evenly spaced frames of a tracklet."""
    item = make_chunks([tracklet], spec, sampling="even")[0]
    return item["video"].numpy(), item["mask"].numpy()
