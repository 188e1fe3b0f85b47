"""Summaries of entries of results.json: the main figure in a line, the mean over splits."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from specvid.text import counted


def headline(entry: Mapping[str, Any]) -> str:
    """The main figure with all that must stand beside it: data, split, views, clips, unreadable, with repeated frames.

    Args:
        entry: of results.json.

    Returns:
        E.g. ``top-1 81.07 % (UCF-101, split 1, 10 clips x 3 crops, 16 frames x 4, 112 x 112 px, bilinear,
        3783 of 3783 clips scored, 0 unreadable)``.
    """
    main, name = ("mAP", "map") if "map" in entry else ("top-1", "top1")
    leaked = f", NOT HONEST: {entry['trained_on']} of these clips were trained on" if entry["trained_on"] else ""
    views = f"{counted(entry['clips'], 'clip')} x {counted(entry['crops'], 'crop')}"
    if "modality" in entry:
        views += f" of {entry['modality']}"
    if "input" in entry:
        views += f", {entry['input']}"
    if "fused" in entry:
        views += f", {entry['fuse']} of {len(entry['fused'])} runs"
    repeated = f", {len(entry['repeated'])} with repeated frames" if entry.get("repeated") else ""
    return (
        f"{main} {100 * entry[name]:.2f} % ({entry['dataset']}, split {entry['split']}, {views}, "
        f"{entry['scored']} of {counted(entry['listed'], 'clip')} scored, {len(entry['unreadable'])} unreadable"
        f"{repeated}{leaked})"
    )


def mean_over_splits(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean over splits of the mean over each split's runs.

    Args:
        entries: of results.json.

    Returns:
        The means, sample deviations (n - 1) over the splits, or over the runs where there is one split, and a sentence.
    """
    splits = sorted({entry["split"] for entry in entries})
    figures: dict[str, Any] = {}
    names = ("map", "f1", "mean_f1") if "map" in entries[0] else ("top1", "top5", "mean_class")
    for name in names:
        per_split = [statistics.fmean(entry[name] for entry in entries if entry["split"] == split) for split in splits]
        figures[name] = statistics.fmean(per_split)
        spread = per_split if len(splits) > 1 else [entry[name] for entry in entries]
        figures[f"{name}_deviation"] = statistics.stdev(spread)
    over = f"splits {', '.join(map(str, splits))}" if len(splits) > 1 else f"{len(entries)} runs on split {splits[0]}"
    clips = f"{sum(entry['scored'] for entry in entries)} of {sum(entry['listed'] for entry in entries)} clips scored"
    views = " and ".join(sorted({f"{entry['clips']} x {entry['crops']} views" for entry in entries}))
    views += "".join(f", {own}" for own in sorted({entry["input"] for entry in entries if "input" in entry}))
    title = " and ".join(sorted({entry["dataset"] for entry in entries}))
    honest = "" if not any(entry["trained_on"] for entry in entries) else ", NOT HONEST: clips were trained on"
    main, title_of_main = names[0], "mAP" if names[0] == "map" else "top-1"
    figure = f"{100 * figures[main]:.2f} ± {100 * figures[f'{main}_deviation']:.2f} %"
    text = f"mean over {over}: {title_of_main} {figure} "
    return {**figures, "splits": splits, "runs": len(entries), "text": f"{text}({title}, {views}, {clips}{honest})"}
