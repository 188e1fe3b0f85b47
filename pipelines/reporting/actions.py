"""An evaluation of action recognition: classes, confusions, the surest mistakes and the least sure hits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from specvid.datasets.layouts.action_set import VideoRecord
from specvid.pipelines.reporting.charts import Chart, Series
from specvid.pipelines.reporting.pictures import Pictures
from specvid.pipelines.reporting.run_part import EvaluationPart, RunPart, evaluation_name, facts_of, percent
from specvid.pipelines.reporting.runs import number, read_table
from specvid.text import counted

_SHOWN = 24  # surest mistakes, least sure hits
_MOST_CLASSES = 400  # of a confusion matrix in a page
_FIGURES = ("top1", "top5", "mean_class", "map", "f1", "mean_f1")


def add_actions(
    run: RunPart, key: str, entry: Mapping[str, Any], folder: Path | None, clips: Mapping[str, VideoRecord],
    pictures: Pictures,
) -> None:  # fmt: skip
    """Add an evaluation to a run's part of the report.

    Args:
        run: the part.
        key: of the evaluation in it.
        entry: of results.json.
        folder: with the evaluation's clips.csv; None where it is gone.
        clips: the test clips by name; empty where the data are not there.
        pictures: makes the thumbnails.
    """
    figures = [name for name in _FIGURES if number(entry.get(name)) is not None]
    rows = [figures, [percent(entry[name]) for name in figures]]
    per_class = entry.get("per_class")
    per_class = (
        {str(name): number(value) for name, value in per_class.items()} if isinstance(per_class, Mapping) else {}
    )
    own = evaluation_name(entry)
    table = [] if folder is None else run.record.attempt(f"{own}: clips", read_table, folder, "clips.csv") or []
    remarks, confusion = _remarks(entry), ""
    if folder is None:
        run.missing.append(f"{own}: the folder with its clips.csv is gone, so there are no confusions and no clips")
    if table and {"class", "predicted"} <= table[0].keys():
        classes = list(
            dict.fromkeys([*per_class, *(row["class"] for row in table), *(row["predicted"] for row in table)])
        )
        classes = [name for name in classes if name]
        has_matrix = len(classes) <= _MOST_CLASSES
        island = _confusion(table, classes, clips, pictures, has_matrix=has_matrix)
        run.islands.setdefault("confusions", {})[key] = island
        confusion = key
        if has_matrix:
            run.charts.append(_confusion_chart(key, island))
        else:
            remarks.append(f"No confusion matrix: {len(classes)} classes are more than the {_MOST_CLASSES} of a page.")
    elif table:
        remarks.append("No confusion matrix: a clip may have several classes.")
    charts = []
    if per_class:
        bars = Series("accuracy", list(per_class), list(per_class.values()))
        what = "average precision" if "map" in entry else "accuracy"
        run.charts.append(Chart(f"{key}-classes", f"Each class: {what}", "bars", "class", what, (bars,), percent=True))
        charts.append(f"{key}-classes")
    title = " · ".join(f"{figures[i]} {rows[1][i]} %" for i in range(min(2, len(figures)))) or "Evaluation"
    facts = facts_of(entry)
    run.evaluations.append(
        EvaluationPart(
            key,
            f"{entry.get('dataset', 'Evaluation')}: {title}",
            facts,
            rows,
            remarks,
            charts,
            _class_rows(per_class, table),
            confusion,
        )
    )


def _remarks(entry: Mapping[str, Any]) -> list[str]:
    """What evaluation skipped, or read with a remark, and why."""
    words = {
        "unreadable": "could not be read, and counted as wrong",
        "repeated": "gave frames more than once",
        "unusual": "was not as header or list announce",
    }
    remarks = []
    for kind, text in words.items():
        names = entry.get(kind)
        if isinstance(names, list) and names:
            first = ", ".join(map(str, names[:5])) + (", ..." if len(names) > 5 else "")
            remarks.append(f"{counted(len(names), 'clip')} {text}: {first} (clips.csv says why)")
    return remarks or ["Evaluation skipped no clip."]


def _class_rows(per_class: Mapping[str, float | None], table: Sequence[Mapping[str, str]]) -> list[list[str]]:
    """The table over classes: clips, figure, and with what the class is confused most."""
    if not per_class:
        return []
    heading = ["class", "clips", "%", "taken most for"]
    rows = [heading]
    for name, share in per_class.items():
        own = [row for row in table if row.get("class") == name]
        wrong = [row["predicted"] or "nothing" for row in own if row.get("predicted") != name]
        most = max(dict.fromkeys(wrong), key=wrong.count, default="")
        taken = f"{most} ({wrong.count(most)})" if most else ""
        rows.append([name, str(len(own)) if own else "-", percent(share), taken])
    return rows


def _confusion(
    table: Sequence[Mapping[str, str]], classes: list[str], clips: Mapping[str, VideoRecord], pictures: Pictures,
    *, has_matrix: bool,
) -> dict[str, Any]:  # fmt: skip
    """What the page's script needs: classes, counts, clips with their thumbnails, and which to show first.

    Without a matrix to click at there are the clips alone that are shown first.
    """
    place = {name: i for i, name in enumerate(classes)}
    counts = [[0] * (len(classes) + 1) for _ in classes] if has_matrix else []
    items: list[dict[str, Any]] = []
    for row in table:
        true, predicted = place.get(row["class"]), place.get(row["predicted"], len(classes))
        if true is None:
            continue
        if has_matrix:
            counts[true][predicted] += 1
        item = {"n": row.get("clip", ""), "t": true, "p": predicted, "c": number(row.get("p_predicted")),
                "q": number(row.get("p_class"))}  # fmt: skip
        items.append(item | ({"e": row["error"][:300]} if row.get("error") else {}))
    sure = sorted(range(len(items)), key=lambda i: -(items[i]["c"] or 0))
    wrong = [i for i in sure if items[i]["p"] not in (items[i]["t"], len(classes))]
    right = [i for i in reversed(sure) if items[i]["p"] == items[i]["t"]]
    shown = [*wrong[:_SHOWN], *right[:_SHOWN]]
    if has_matrix:
        one_each = {(items[i]["t"], items[i]["p"]): i for i in sure}.values()
        shown += [*one_each, *wrong, *sure]
    for i in dict.fromkeys(shown):
        record = clips.get(items[i]["n"])
        picture = pictures.clip(record) if record is not None else None
        if picture is not None:
            items[i]["s"] = picture
    at = {i: number for number, i in enumerate(range(len(items)) if has_matrix else dict.fromkeys(shown))}
    return {
        "classes": classes,
        "counts": counts,
        "clips": [items[i] for i in at],
        "mistakes": [at[i] for i in wrong[:_SHOWN]],
        "unsure": [at[i] for i in right[:_SHOWN]],
        "why": "" if clips else "The videos are not where the run was trained: --data DIR says where they lie now.",
    }


def _confusion_chart(key: str, island: Mapping[str, Any]) -> Chart:
    """The confusion matrix for figures; the page has its own."""
    classes, counts = island["classes"], island["counts"]
    nothing = any(row[-1] for row in counts)
    columns = (*classes, "no prediction") if nothing else tuple(classes)
    z = tuple(tuple(float(count) for count in row[: len(columns)]) for row in counts)
    return Chart(
        f"{key}-confusion", "Confusion matrix", "heat", "predicted class", "true class", rows=tuple(classes),
        columns=columns, z=z, counts=True,
    )  # fmt: skip
