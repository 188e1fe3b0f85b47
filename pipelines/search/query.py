"""`search`: the rows that are most like a video, images or a row."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.rows import Rows
from specvid.pipelines.networks.config import NetworkConfig
from specvid.pipelines.search.exact import exact_search, unit_blocks
from specvid.pipelines.search.features import feature_folder
from specvid.pipelines.search.query_vector import query_vector


@dataclass(frozen=True)
class Answer:
    """What a search found.

    Attributes:
        query: what was searched for, as it was given.
        rows: best first, each with ``rank`` from 1, ``score`` (cosine) and all columns but the embedding.
        method: which index answered, or ``exact``.
        rows_searched: how many rows could answer.
        warning: about lost or repaired frames of the query.
    """

    query: str
    rows: list[dict[str, Any]]
    method: str
    rows_searched: int
    warning: str = ""


def search(
    out: str | os.PathLike[str],
    query: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    k: int = 10,
    where: str = "",
    device: str = "auto",
    network: NetworkConfig | None = None,
    min_readable: float | None = None,
    trusted: bool = False,
) -> Answer:
    """Find the rows of a folder of embeddings that are most like a video, images or a row, by cosine.

    Args:
        out: the folder; or a file of re-ID features (`features.parquet` of ``specvid eval reid``), whose tracklets are
            then asked for by their names.
        query: the id of a row, which is then no answer itself; a video file; a folder of images; or several images.
        k: how many rows.
        where: a filter on columns, see `specvid.pipelines.search.where`, with which the search is always exact.
        device: where the query is embedded.
        network: where the network of the data set lies now, if it moved.
        min_readable: share of the frames of the query that must decode; as the data set was made if not given.
        trusted: embed a file even where the data set names a network that may run code of whoever wrote it.

    Returns:
        The answer: through the folder's index if there is one, else by comparing with every row.

    Raises:
        ValueError: wrong input, an incomplete data set, or an index that is out of date.
    """
    from specvid.pipelines.search.index import open_index
    from specvid.pipelines.search.where import matching

    if k < 1:
        raise ValueError(f"k {k} must be at least 1.")
    if os.path.isfile(out):
        with tempfile.TemporaryDirectory() as place:
            folder = feature_folder(Path(out), Path(place))
            return search(folder.path, query, k=k, where=where)
    folder = Folder(out)
    rows = Rows(folder)
    mask = matching(rows, where) if where else None
    parts = [query] if isinstance(query, str | os.PathLike) else query
    names = [os.fspath(part) for part in parts]
    settings: dict[str, Any] = {"network": network, "min_readable": min_readable, "trusted": trusted}
    example = query_vector(folder, rows, names, device=device, **settings)
    index = open_index(folder, rows)
    wanted = min(k + len(example.rows), len(rows))
    if not wanted:
        return Answer(example.name, [], "no rows", 0, example.warning)
    if index is not None:
        scores, found = index.search(example.vector, wanted, mask=mask)
        method = index.metadata["kind"] if mask is None else "exact"
    else:
        scores, found = exact_search(example.vector, unit_blocks(rows), wanted, mask=mask)
        method = "exact"
    good = (found[0] >= 0) & ~np.isin(found[0], example.rows)
    order, values = found[0][good][:k], scores[0][good][:k]
    columns = rows.take(order.tolist())
    answers = [
        {"rank": rank, "score": round(float(score), 6), **row}
        for rank, (score, row) in enumerate(zip(values, columns, strict=True), start=1)
    ]
    return Answer(example.name, answers, method, len(rows) if mask is None else int(mask.sum()), example.warning)
