"""`evaluate`: leave-one-group-out nearest-neighbour accuracy of a folder of embeddings."""

import os
from dataclasses import dataclass

import numpy as np

from specvid.datasets.layouts.ucf101 import group_of
from specvid.errors import unknown
from specvid.eval.embeddings import NeighbourScore, leave_group_out
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.rows import Rows, batches


@dataclass(frozen=True)
class Evaluation:
    """What a folder of embeddings scored.

    Attributes:
        score: accuracy, and that of each class.
        rows: how many were scored.
        groups: how many sources they were cut from.
        failed: inputs that have no row, and are not scored.
    """

    score: NeighbourScore
    rows: int
    groups: int
    failed: int


def evaluate(out: str | os.PathLike[str], *, label: str = "", group: str = "") -> Evaluation:
    """Score a folder of embeddings.

    Args:
        out: the folder that `embed` wrote.
        label: column with the class of a row; without it, class and group come from file names as those of
            UCF-101, ``v_CLASS_gXX_cYY``.
        group: column with the source that a row was cut from.

    Returns:
        The accuracy of the nearest neighbour among the rows of all other groups.

    Raises:
        ValueError: unknown columns, empty values, or other file names.
    """
    import pyarrow.parquet as pq

    if bool(label) != bool(group):
        raise ValueError("--label and --group belong together: the class of a row, and the source it was cut from.")
    folder = Folder(out)
    rows = Rows(folder)
    for column in filter(None, (label, group)):
        if column not in rows.schema.names:
            raise unknown("column", column, rows.schema.names)
    if not len(rows):
        raise ValueError(f"{str(folder.path)!r} has no rows: there is nothing to score.")
    features = np.concatenate(list(rows.embeddings()))
    names = [label, group] if label else ["path"]
    table = [row for batch in batches(rows.parts, names) for row in batch.to_pylist()]
    if label:
        labels, groups = ([row[name] for row in table] for name in names)
        empty = [name for name, values in ((label, labels), (group, groups)) if None in values]
        if empty:
            raise ValueError(f"column {empty[0]!r} is empty in some rows: each needs a value.")
    else:
        pairs = [_ucf101(row["path"]) for row in table]
        labels, groups = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    score = leave_group_out(features.astype(np.float32), labels, [str(name) for name in groups])
    failed = pq.read_metadata(folder.errors).num_rows if folder.errors.exists() else 0
    return Evaluation(score, len(table), len(set(groups)), failed)


def _ucf101(path: str) -> tuple[str, str]:
    """(class, its group) of one of UCF-101's files."""
    name = os.path.basename(path)
    label = "_".join(name.split("_")[1:-2])
    try:
        return label, group_of(f"{label}/{name}")
    except ValueError:
        raise ValueError(
            f"{name!r} is no file name of UCF-101 (v_CLASS_gXX_cYY.avi): give --label COLUMN --group COLUMN."
        ) from None
