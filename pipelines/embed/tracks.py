"""Tables of crops, as trackers and detectors write them: one row an image, grouped into tracklets.

As in the data set ``tracklets``, rows with the same ``set``, ``pid``, ``camid`` and ``tracklet`` (also ``track``,
``track_id``) are the frames of one tracklet, sorted by ``frame``, or by file name where there is no such column.
"""

import os
from collections.abc import Sequence
from typing import Any

from specvid.datasets.layouts.reid_set import natural_key
from specvid.datasets.layouts.tracklets import TRACKLET_COLUMNS
from specvid.text import counted

_GROUPS = (("set",), ("pid",), ("camid",), TRACKLET_COLUMNS)
_FRAME = "frame"


def group_tracklets(table: Any, files: Sequence[str], *, where: str) -> tuple[Any, list[str]]:
    """Make a table of inputs of rows that name images.

    Args:
        table: a pyarrow table, without the column of paths.
        files: the image of each row.
        where: what it is, to begin messages with.

    Returns:
        A row a tracklet with the columns ``id`` (what it is grouped by, joined by ``/``), ``file``, ``problem``,
        ``files``, and those columns that have one value in each tracklet; and a sentence on those that have not.

    Raises:
        ValueError: no column says which rows belong together, or a frame is no number.
    """
    import pyarrow as pa

    keys = [name for group in _GROUPS for name in group if name in table.column_names]
    if not any(name in keys for name in (*_GROUPS[-1], "pid")):
        raise ValueError(
            f"{where} names images, and no column says which are frames of one video: add a column 'tracklet' (or "
            "'pid' and 'camid'), or name videos and folders of images."
        )
    columns = {name: table[name].to_pylist() for name in table.column_names}
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row, key in enumerate(zip(*(columns[name] for name in keys), strict=True)):
        groups.setdefault(key, []).append(row)
    for rows in groups.values():
        rows.sort(key=_order(columns.get(_FRAME), files, where))
    first = [rows[0] for rows in groups.values()]
    carried: list[str] = []
    mixed: list[str] = []
    for name in table.column_names:
        same = all(len({columns[name][row] for row in rows}) == 1 for rows in groups.values())
        (carried if same and name != "id" else mixed).append(name)
    ids = ["/".join(str(part) for part in key if part not in (None, "")) for key in groups]
    images = [[os.fsencode(files[row]) for row in rows] for rows in groups.values()]
    result = pa.table(
        {
            "id": pa.array(ids, pa.string()),
            "file": pa.array([own[0] for own in images], pa.binary()),
            "problem": pa.array([""] * len(ids), pa.string()),
            "files": pa.array(images, pa.list_(pa.binary())),
        }
    )
    for name in carried:
        result = result.append_column(table.schema.field(name), table[name].take(pa.array(first)))
    warnings = [f"{where}: {counted(len(files), 'image')} in {counted(len(ids), 'tracklet')}, by {', '.join(keys)}"]
    left = [name for name in mixed if name != _FRAME]
    if left:
        warnings.append(f"{where}: {', '.join(left)} differ within tracklets, and are not carried over")
    return result, warnings


def noun_of(table: Any) -> str:
    """What messages call the inputs of a table.

    Args:
        table: of inputs.

    Returns:
        ``tracklet`` where all are crops of tables, ``video`` where none is, else ``input``.
    """
    crops = len(table) - table["files"].null_count if "files" in table.column_names else 0
    return "video" if not crops else "tracklet" if crops == len(table) else "input"


def _order(frames: list[Any] | None, files: Sequence[str], where: str) -> Any:
    """What sorts the rows of a tracklet."""

    def key(row: int) -> Any:
        frame = frames[row] if frames is not None else None
        if frame is None or frame == "":
            return (1, 0.0, natural_key(files[row]))
        try:
            return (0, float(frame), natural_key(files[row]))
        except ValueError:
            raise ValueError(f"{where}, row {row + 1}: frame {frame!r} is no number.") from None

    return key
