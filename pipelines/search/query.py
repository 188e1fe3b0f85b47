"""`search`: the rows that are most like a video, images or a row."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from specvid.pipelines.embed.config import NetChoice
from specvid.pipelines.embed.layout import Folder
from specvid.pipelines.search.asked import asked
from specvid.pipelines.search.exact import exact_search
from specvid.pipelines.search.vectors import Rows, unit_blocks


@dataclass(frozen=True)
class Answer:
    """``rows``: best first, each with ``rank`` from 1, ``score`` (cosine) and all columns but the embedding; ``how``:
    which index answered; ``rows_searched``: how many could.
    """

    asked: str
    rows: list[dict[str, Any]]
    how: str
    rows_searched: int


def search(
    out: str | os.PathLike[str],
    what: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    k: int = 10,
    where: str = "",
    device: str = "auto",
    net: NetChoice | None = None,
) -> Answer:
    """The ``k`` rows of the folder ``out`` that are most like ``what`` (see `asked`), by cosine.

    Through the folder's index if there is one, else by comparing with every row; ``where``: a filter on columns (see
    `where`), with which the search is always exact. A row that is asked for by its id is no answer.
    Raises ``ValueError`` for wrong input; an incomplete data set; an index that is out of date.
    """
    from specvid.pipelines.search.index import open_index
    from specvid.pipelines.search.where import matching

    if k < 1:
        raise ValueError(f"k {k} must be at least 1.")
    folder = Folder(out)
    rows = Rows(folder)
    keep = matching(rows, where) if where else None
    things = [what] if isinstance(what, str | os.PathLike) else what
    question = asked(folder, rows, [os.fspath(thing) for thing in things], device=device, net=net)
    index = open_index(folder, rows)
    wanted = min(k + len(question.own), len(rows))
    if not wanted:
        return Answer(question.name, [], "no rows", 0)
    if index is not None:
        scores, found = index.search(question.vector, wanted, keep=keep)
        how = index.about["kind"] if keep is None else "exact"
    else:
        scores, found = exact_search(question.vector, unit_blocks(rows.parts), wanted, keep=keep)
        how = "exact"
    good = (found[0] >= 0) & ~np.isin(found[0], question.own)
    order, values = found[0][good][:k], scores[0][good][:k]
    columns = rows.take(order.tolist())
    answers = [
        {"rank": rank, "score": round(float(score), 6), **row}
        for rank, (score, row) in enumerate(zip(values, columns, strict=True), start=1)
    ]
    return Answer(question.name, answers, how, len(rows) if keep is None else int(keep.sum()))
