"""A data set of embeddings as a data set of FiftyOne, for people who look there."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Any

import numpy as np

from specvid.datasets.layouts.media import images_in
from specvid.extras import require
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.row_files import RowFiles
from specvid.pipelines.embed.rows import Rows
from specvid.pipelines.search.deleting import deleted_rows, kept_batches
from specvid.text import counted, one_line

_WINDOW = "window"
# Attributes of FiftyOne's samples, which no field can be called.
_TAKEN = {"created_at", "dataset", "dataset_id", "filename", "filepath", "frames", "last_modified_at", "media_type"}
_TAKEN |= {"metadata", "support", "tags", _WINDOW}


def to_fiftyone(folder: str | os.PathLike[str], *, name: str, echo: Callable[[str], None]) -> int:
    """Write the rows of a folder of embeddings as a new data set in FiftyOne's own database.

    A row is a sample: ``path`` its media (of a folder of images or a tracklet the middle image), ``embedding`` its
    vector, the columns its fields, ``id`` the field ``input_id``. Of a window of a video, ``window`` is a temporal
    detection (frames from 1, as FiftyOne counts). The data set stays only when all rows are in it.

    Args:
        folder: that `specvid embed` wrote.
        name: of the data set; there must be none of that name.
        echo: gets a line for what people should know: columns under other names, rows left out, media not there.

    Returns:
        How many samples it has.

    Raises:
        ValueError: fiftyone is not installed or its database does not start, the data set is not complete, the name is
            taken, or FiftyOne cannot take a value.
    """
    own = Folder(folder)
    rows = Rows(own)
    deleted = deleted_rows(own, rows)
    # It counts its users over the network, unless it is told not to.
    os.environ.setdefault("FIFTYONE_DO_NOT_TRACK", "true")
    fiftyone = require("fiftyone", extra="fiftyone", what=f"the export to data set {name!r} of FiftyOne")
    try:
        if fiftyone.dataset_exists(name):
            raise ValueError(f"FiftyOne has a data set {name!r} already: give another --name, nothing is replaced.")
        made = fiftyone.Dataset(name)
    except ValueError:
        raise
    except Exception as error:  # of several packages, which are not named here
        raise ValueError(f"FiftyOne's database does not answer: {_cause(error)}") from None

    fields = field_names(rows.schema.names)
    wanted, missing = len(rows) - (0 if deleted is None else int(deleted.sum())), set[str]()
    try:
        samples = _samples(fiftyone, kept_batches(rows, deleted), fields, RowFiles(own), missing)
        made.add_samples(samples, num_samples=wanted)
        if len(made) != wanted:
            raise ValueError(f"it has {len(made)} of {wanted} samples")
        made.persistent = True
    except Exception as error:
        made.delete()
        columns = ", ".join(f"{field.name} is {field.type}" for field in rows.schema)
        cause = _cause(error)
        raise ValueError(
            f"FiftyOne cannot take the rows ({columns}), so data set {name!r} is not made: {cause}"
        ) from None
    for column, field in fields.items():
        if field != column:
            echo(f"column {column!r} is the field {field!r}")
    if wanted < len(rows):
        echo(f"left out, of inputs that are deleted: {counted(len(rows) - wanted, 'row')}")
    if missing:
        echo(
            f"FiftyOne cannot show {counted(len(missing), 'file')}, which cannot be found: {one_line(min(missing))} ..."
        )
    return wanted


def field_names(columns: Iterable[str]) -> dict[str, str]:
    """The names that FiftyOne's fields have for columns: letters, digits and `_`, none twice, none of its own.

    Args:
        columns: of a data set.

    Returns:
        Column to field; ``path`` is none, for it is the sample's media.
    """
    fields = {"id": "input_id"}
    for column in columns:
        if column in ("id", "path"):
            continue
        field = re.sub(r"\W", "_", column).lstrip("_") or "column"
        if field[0].isdigit() or field in _TAKEN:
            field = f"column_{field}"
        while field in fields.values():
            field += "_"
        fields[column] = field
    return fields


def _samples(
    fiftyone: Any, parts: Iterable[Any], fields: dict[str, str], files: RowFiles, missing: set[str]
) -> Iterator[Any]:
    """A sample for each row; ``missing`` gets the media that are not there."""
    for batch in parts:
        for row in batch.to_pylist():
            path = os.path.abspath(_media(files.files(row["id"], row["path"])))
            if not os.path.exists(path):
                missing.add(path)
            values = {field: _plain(row[column]) for column, field in fields.items() if row[column] is not None}
            sample = fiftyone.Sample(filepath=path, **values)
            sample["embedding"] = np.asarray(row["embedding"], np.float32)
            if sample.media_type == "video" and row.get("first_frame") is not None:
                support = [row["first_frame"] + 1, row["last_frame"] + 1]
                label = str(row.get("label") or row.get("folder") or "")
                sample[_WINDOW] = fiftyone.TemporalDetection(label=label, support=support)
            yield sample


def _cause(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _media(paths: list[str]) -> str:
    """The one file of an input that stands for it: FiftyOne shows no folders and no lists of images."""
    if len(paths) == 1 and os.path.isdir(paths[0]):
        try:
            paths = [os.path.join(paths[0], name) for name in images_in(paths[0])]
        except (OSError, ValueError):  # it holds folders of optical flow, or nothing any more
            return paths[0]
    return paths[len(paths) // 2]


def _plain(value: Any) -> Any:
    """A value as its database can hold it; others are text."""
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, int) and abs(value) >= 2**63:
        return str(value)
    return value if isinstance(value, bool | int | float | str | date) else str(value)
