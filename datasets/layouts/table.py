"""Own clips in a table (CSV, TSV or Parquet), one row a clip.

==========  ==========================================================================================================
``path``    the video file or folder of images, relative to the table's folder
``label``   its class; several ones parted by ``|``, or a list in Parquet: then each clip may have several, or none
``set``     train, val or test; without it all is train
``group``   clips with the same one are cut from one source; without it, clips of one path
``start_s`` the clip begins so many seconds into the video
``end_s``   and ends before this second; without it at the end
``weight``  of the clip in training
==========  ==========================================================================================================
"""

import math
import os
from pathlib import Path
from typing import Any

from specvid.datasets.layouts.action_set import ActionSet, VideoRecord, action_set
from specvid.datasets.layouts.own import PARTS, groups_of_files, make_set
from specvid.datasets.layouts.tables import SUFFIXES, read_table
from specvid.datasets.layouts.text import NameFinder

NEEDED, OPTIONAL = ("path", "label"), ("set", "group", "start_s", "end_s", "weight")


@action_set("table")
def read_table_set(
    root: str | os.PathLike[str], *, split: int = 1, groups: str = "", test_fraction: float = 0.0
) -> ActionSet:
    """The clips of a table.

    Args:
        root: the table.
        split: which draw of the test part, 1 to 10; 1 where the table has a test part.
        groups: which clips are cut from one source, where the table has no column ``group``: see `group_rule`.
        test_fraction: share of the groups of each class to test on, where there is no test part.

    Returns:
        The set. ``is_multilabel`` where a cell has several classes.

    Raises:
        ValueError: a missing column, or a row with a value that does not fit.
    """
    path = Path(root)
    if path.suffix.lower() not in SUFFIXES or not path.is_file():
        inside = (
            sorted(file.name for file in path.iterdir() if file.suffix.lower() in SUFFIXES) if path.is_dir() else []
        )
        fix = f" Give one of the tables in it: {', '.join(inside)}." if inside else ""
        what = "is not a table" if path.exists() else "does not exist"
        raise ValueError(f"{path} {what}; expected a file that ends in {', '.join(SUFFIXES)}.{fix}")
    rows = read_table(path, NEEDED, OPTIONAL)
    labels = [_labels(row["label"]) for row in rows]
    if groups and any(row.get("group") not in (None, "") for row in rows):
        raise ValueError(f"groups {groups!r} is given, but {path} has a column group: leave one of them out.")
    is_multilabel = any(len(own) > 1 for own in labels) or any(isinstance(row["label"], list) for row in rows)
    classes = sorted({label for own in labels for label in own})
    if not classes:
        raise ValueError(f"{path} has no row with a label.")
    label_of = {name: number for number, name in enumerate(classes)}
    finder = NameFinder(path.parent)
    files = [_text(row["path"]) for row in rows]
    found = [finder.find(file) if file else "" for file in files]
    of_one_file = groups_of_files(list(zip(found, files, strict=True)))
    parts: dict[str, list[VideoRecord]] = {}
    seen: set[str] = set()
    for number, (row, own) in enumerate(zip(rows, labels, strict=True), start=1):
        where = f"{path}, row {number}"
        file, part = files[number - 1], _text(row.get("set") or "train").strip()
        if not file:
            raise ValueError(f"{where}: path is empty.")
        if part not in PARTS:
            raise ValueError(f"{where}: set {part[:60]!r} is none of train, val, test.")
        if not own and not is_multilabel:
            raise ValueError(f"{where}: label is empty; every clip needs a class.")
        start, end = _number(row, "start_s", where, 0.0), _number(row, "end_s", where, math.inf)
        weight = _number(row, "weight", where, 1.0)
        if end <= start:
            raise ValueError(f"{where}: end_s {end:g} must be greater than start_s {start:g}.")
        name = file if start == 0 and end == math.inf else f"{file}#{start:g}-{'' if end == math.inf else f'{end:g}'}"
        if name in seen:
            raise ValueError(f"{where}: {name[:200]} is listed twice; give all its classes in one cell, parted by |.")
        seen.add(name)
        numbers = tuple(label_of[label] for label in own)
        group = _text(row.get("group")) or of_one_file[number - 1]
        parts.setdefault(PARTS[part], []).append(
            VideoRecord(
                Path(found[number - 1]),
                name,
                numbers[0] if numbers else -1,
                group,
                numbers if is_multilabel else (),
                start,
                None if end == math.inf else end,
                weight,
            )
        )
    return make_set(
        path.stem,
        classes,
        parts,
        split=split,
        groups=groups,
        test_fraction=test_fraction,
        is_multilabel=is_multilabel,
        warnings=finder.warnings(),
    )


def _labels(cell: Any) -> list[str]:
    """The classes in a cell, each once."""
    names = cell if isinstance(cell, list) else _text(cell).split("|")
    return list(dict.fromkeys(name for name in (_text(name).strip() for name in names) if name))


def _text(cell: Any) -> str:
    """A cell as text; Parquet's may be bytes."""
    return os.fsdecode(cell) if isinstance(cell, bytes) else "" if cell is None else str(cell)


def _number(row: dict[str, Any], column: str, where: str, default: float) -> float:
    """A number of a row that is not negative."""
    value = row.get(column)
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return default
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{where}: {column} {str(value)[:60]!r} is no number.") from None
    if not 0 <= number < math.inf:
        raise ValueError(f"{where}: {column} {str(value)[:60]!r} must be a number of at least 0.")
    return number
