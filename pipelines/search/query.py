"""`search`: the rows that are most like a video, images or a row."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from specvid.errors import unknown
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.row_files import RowFiles
from specvid.pipelines.embed.rows import Rows
from specvid.pipelines.networks.config import NetworkConfig
from specvid.pipelines.search.deleting import deleted_rows
from specvid.pipelines.search.exact import exact_search, unit_blocks
from specvid.pipelines.search.features import feature_folder
from specvid.pipelines.search.found_row import FoundRow
from specvid.pipelines.search.query_vector import QueryVector, query_vector, text_vector


@dataclass(frozen=True)
class Answer:
    """What a search found.

    Attributes:
        query: what was searched for, as it was given.
        rows: best first.
        method: which index answered, or ``exact``.
        rows_searched: how many rows could answer.
        warning: about lost or repaired frames of the query.
        places: of each row the number of its data set, in the order they were given, and of the row in it.
    """

    query: str
    rows: list[FoundRow]
    method: str
    rows_searched: int
    warning: str = ""
    places: tuple[tuple[int, int], ...] = ()


def search(
    out: str | os.PathLike[str],
    query: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    text: str = "",
    k: int = 10,
    where: str = "",
    group_by: str = "",
    also: Sequence[str | os.PathLike[str]] = (),
    device: str = "auto",
    network: NetworkConfig | None = None,
    min_readable: float | None = None,
    trusted: bool = False,
) -> Answer:
    """Find the rows of folders of embeddings that are most like a video, images or a row, by cosine.

    Args:
        out: the folder; or a file of re-ID features (`features.parquet` of ``specvid eval reid``), whose tracklets are
            then asked for by their names.
        query: the id of a row, which is then no answer itself; a video file; a folder of images; or several images.
        text: words in place of it, where the network of the data set has a text tower.
        k: how many rows.
        where: a filter on columns, see `specvid.pipelines.search.where`, with which the search is always exact.
        group_by: a column; of the rows with the same value only the best one answers.
        also: further folders, made by the same network, that are searched too.
        device: where the query is embedded.
        network: where the network of the data set lies now, if it moved.
        min_readable: share of the frames of the query that must decode; as the data set was made if not given.
        trusted: embed a file even where the data set names a network that may run code of whoever wrote it.

    Returns:
        The answer: through a folder's index if there is one, else by comparing with every row.

    Raises:
        ValueError: wrong input, an incomplete data set, an index that is out of date, or folders that do not belong
            together.
    """
    if k < 1:
        raise ValueError(f"k {k} must be at least 1.")
    if os.path.isfile(out):
        if also:
            raise ValueError(f"{os.fspath(out)!r} is a file of features: it is searched alone, without other folders.")
        with tempfile.TemporaryDirectory() as place:
            folder = feature_folder(Path(out), Path(place))
            return search(folder.path, query, text=text, k=k, where=where, group_by=group_by)
    parts = [query] if isinstance(query, str | os.PathLike) else query
    names = [os.fspath(part) for part in parts]
    sets = [_Set(path, where, group_by) for path in (out, *also)]
    for other in sets[1:]:
        check_same_network(sets[0].folder, other.folder)
    settings: dict[str, Any] = {"network": network, "min_readable": min_readable, "trusted": trusted}
    if text:
        knows, example = sets[0], text_vector(sets[0].folder, text, **settings)
    else:
        knows = next((part for part in sets if len(names) == 1 and len(part.rows.with_id(names[0]))), sets[0])
        example = query_vector(knows.folder, knows.rows, names, device=device, **settings)
    found = [
        (score, place, row)
        for place, part in enumerate(sets)
        for score, row in part.best(example, k, own=part is knows)
    ]
    found.sort(key=lambda one: (-one[0], one[1]))
    chosen = list(_first_of_each(found, sets, group_by))[:k]
    answers = _columns(chosen, sets)
    searched = sum(part.searched for part in sets)
    methods = " and ".join(sorted({part.method for part in sets}))
    places = tuple((place, row) for _, place, row in chosen)
    return Answer(example.name, answers, methods, searched, example.warning, places)


class _Set:
    """A data set that is searched, with its index and the rows that may answer."""

    def __init__(self, path: str | os.PathLike[str], where: str, group_by: str) -> None:
        from specvid.pipelines.search.index import open_index
        from specvid.pipelines.search.where import matching

        self.folder = Folder(path)
        self.rows = Rows(self.folder)
        if group_by and (group_by not in self.rows.schema.names or group_by == "embedding"):
            columns = [name for name in self.rows.schema.names if name != "embedding"]
            raise unknown(f"{str(self.folder.path)!r}: column", group_by, columns)
        self.group_by = group_by
        self.mask = matching(self.rows, where) if where else None
        if (deleted := deleted_rows(self.folder, self.rows)) is not None:
            self.mask = ~deleted if self.mask is None else self.mask & ~deleted
        self.index = open_index(self.folder, self.rows)
        self.searched = len(self.rows) if self.mask is None else int(self.mask.sum())
        quick = self.index is not None and self.mask is None
        self.method = str(self.index.metadata["kind"]) if quick and self.index is not None else "exact"
        if not len(self.rows):
            self.method = "no rows"

    def best(self, example: QueryVector, k: int, *, own: bool) -> list[tuple[float, int]]:
        """Cosine and number of the best rows; where they are grouped, of so many that they are of ``k`` groups.

        ``own``: the query's rows are those of this set, and no answers.
        """
        skip = example.rows if own else np.zeros(0, np.int64)
        wanted = min(k + len(skip), len(self.rows))
        while wanted:
            scores, found = self._search(example.vector, wanted)
            good = (found[0] >= 0) & ~np.isin(found[0], skip)
            pairs = list(zip(scores[0][good].tolist(), found[0][good].tolist(), strict=True))
            if not self.group_by or wanted == len(self.rows) or len(pairs) >= self.searched:
                return pairs
            taken = self.rows.take([row for _, row in pairs], [self.group_by])
            groups = {_group(row[self.group_by]) for row in taken}
            if len(groups) >= k:
                return pairs
            wanted = min(4 * wanted, len(self.rows))
        return []

    def _search(self, vector: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
        if self.index is not None:
            return self.index.search(vector, wanted, mask=self.mask)
        return exact_search(vector, unit_blocks(self.rows), wanted, mask=self.mask)


def check_same_network(one: Folder, other: Folder) -> None:
    """Check that vectors of two folders can be compared.

    Args:
        one: a folder of embeddings.
        other: another one.

    Raises:
        ValueError: they were made by different networks.
    """
    first, second = one.metadata()["network"], other.metadata()["network"]
    for name in ("weights", "feature", "dim"):
        if first.get(name) != second.get(name):
            raise ValueError(
                f"{str(other.path)!r} and {str(one.path)!r} were not made by one network ({name} "
                f"{str(second.get(name))[:12]}, not {str(first.get(name))[:12]}): search them one by one."
            )


def _first_of_each(
    found: Sequence[tuple[float, int, int]], sets: Sequence[_Set], group_by: str
) -> Iterator[tuple[float, int, int]]:
    """The best row of each group; all rows where there are no groups. Rows without a value are groups of their own."""
    if not group_by:
        yield from found
        return
    values: dict[tuple[int, int], Any] = {}
    for place, part in enumerate(sets):
        own = [row for _, at, row in found if at == place]
        for row, columns in zip(own, part.rows.take(own, [group_by]), strict=True):
            values[place, row] = _group(columns[group_by])
    seen = set()
    for one in found:
        value = values[one[1:]]
        if value is None or value not in seen:
            seen.add(value)
            yield one


def _group(value: Any) -> Any:
    """A value as one that can be compared with others: of a list or a structure its text."""
    return repr(value) if isinstance(value, list | dict) else value


def _columns(chosen: Sequence[tuple[float, int, int]], sets: Sequence[_Set]) -> list[FoundRow]:
    """The rows of an answer, each with the columns of all sets."""
    names = list(dict.fromkeys(n for part in sets for n in part.rows.schema.names if n != "embedding"))
    taken: dict[tuple[int, int], dict[str, Any]] = {}
    for place, part in enumerate(sets):
        own = [row for _, at, row in chosen if at == place]
        taken |= {(place, row): columns for row, columns in zip(own, part.rows.take(own), strict=True)}
    folders = [str(part.folder.path) if len(sets) > 1 else "" for part in sets]
    files = [RowFiles(part.folder) for part in sets]
    rows = []
    for rank, (score, place, row) in enumerate(chosen, start=1):
        known = taken[place, row]
        columns = {name: known.get(name) for name in names}
        rows.append(FoundRow(rank, round(score, 6), columns, folders[place], files[place]))
    return rows
