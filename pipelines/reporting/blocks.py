"""What the blocks of a run do: how much they add, their gates, what they look at in chosen clips, what they filter."""

from collections.abc import Mapping
from typing import Any

from specvid.pipelines.engine.block_use import OVERWHELMING, UNUSED
from specvid.pipelines.networks.config import NetworkConfig
from specvid.pipelines.networks.opening import open_network
from specvid.pipelines.reporting.affinity import (
    affinity_map,
    blocks_of,
    frames_of_clip,
    inputs_of_blocks,
    largest_eigenvalues,
)  # fmt: skip
from specvid.pipelines.reporting.charts import Chart, Series
from specvid.pipelines.reporting.run_part import RunPart
from specvid.pipelines.reporting.runs import number
from specvid.pipelines.reporting.telling_clips import telling_clips
from specvid.text import percent

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
    run.missing.extend(_of_no_use(run.training.get("blocks")))
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
    clips = run.record.attempt("clips for the blocks", telling_clips, run, opened)
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
                parts.append(
                    found | {"title": clip.title, "name": clip.name, "frames": frames_of_clip(clip, found["cells"][0])}
                )
            values = run.record.attempt(f"block {path}", largest_eigenvalues, block, *seen[path])
            if values:
                places = [float(place) for place in range(1, len(values) + 1)]
                spectra.append(Series(f"{_short(path)}: {clip.title}", places, values))
        if parts:
            run.islands.setdefault("affinities", {})[f"block{i}"] = {"place": path, "parts": parts}
            run.affinities.append(f"block{i}")
    if spectra:
        title = "Spectrum of the affinity: the eigenvalues farthest from 0, 64 at most"
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


def _of_no_use(blocks: Any) -> list[str]:
    """What to say of blocks that the training never used, of those that leave little of the features, and of damage."""
    rows = [block for block in blocks if isinstance(block, Mapping)] if isinstance(blocks, list) else []
    shares = {str(block.get("place", "-")): number(block.get("share")) for block in rows}
    sentences = [
        f"block {block.get('place', '-')}: {name} is {str(block[name])[:40]!r} in results.json, which is no number"
        for block in rows
        for name in _COLUMNS
        if block.get(name) is not None and number(block[name]) is None
    ]
    for place, share in shares.items():
        if share is not None and share < UNUSED:
            sentences.append(
                f"block {place} was never used: it adds {percent(share)} % to the features "
                f"(less than {100 * UNUSED:g} %). What it looks at below was not learned"
            )
        if share is not None and share > OVERWHELMING:
            sentences.append(
                f"block {place} leaves little of the features: it adds {percent(share)} % to them "
                f"(more than {100 * OVERWHELMING:g} %)"
            )
    return sentences


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
