"""What the page can do with the data sets: each request is answered by one method here."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar

import numpy as np

from specvid.errors import unknown
from specvid.pipelines.browse.compare import compare
from specvid.pipelines.browse.map import EmbeddingMap
from specvid.pipelines.browse.previews import Pictures
from specvid.pipelines.browse.sets import BrowsedSet, Place, plain
from specvid.pipelines.browse.uploads import received
from specvid.pipelines.networks.config import NetworkConfig
from specvid.pipelines.search.query import search
from specvid.pipelines.search.where import matching

T = TypeVar("T")
_MOST_ANSWERS = 200


class RefusedError(ValueError):
    """A request for something that is not among the data."""


@dataclass(frozen=True)
class SearchOptions:
    """What can be chosen about a search.

    Attributes:
        k: how many answers.
        where: a filter on columns.
        group_by: a column; of rows with the same value only the best one answers.
    """

    k: int = 12
    where: str = ""
    group_by: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.k <= _MOST_ANSWERS:
            raise ValueError(f"k {self.k} must be from 1 to {_MOST_ANSWERS}.")


class Browser:
    """Data sets, their map, and what decodes their files. A context manager.

    Args:
        sets: the data sets.
        points: their map; None where there is none.
        device: where an upload is embedded.
        network: the network of the data sets, where it moved.
        trusted: the user vouches for the network that the data sets name.
    """

    def __init__(
        self,
        sets: Sequence[BrowsedSet],
        points: EmbeddingMap | None,
        *,
        device: str = "auto",
        network: NetworkConfig | None = None,
        trusted: bool = False,
    ) -> None:
        self.sets, self.map = list(sets), points
        self._settings: dict[str, Any] = {"device": device, "network": network, "trusted": trusted}
        self._pictures = Pictures()
        self._lock = threading.Lock()

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *error: object) -> None:
        self._pictures.close()

    def unchanged(self, function: Callable[..., T], *arguments: Any) -> T:
        """Answer while the data sets are those that were opened.

        Args:
            function: a method of this browser.
            *arguments: its arguments.

        Returns:
            What it returns.

        Raises:
            ValueError: a data set was changed, before or meanwhile.
        """
        self._require_unchanged()
        try:
            found = function(*arguments)
        except Exception:
            self._require_unchanged()  # a better reason than a row that is gone
            raise
        self._require_unchanged()
        return found

    def _require_unchanged(self) -> None:
        for one in self.sets:
            one.require_unchanged()

    def about(self) -> dict[str, Any]:
        """The data sets: names, rows, columns and their types; and how many rows the map shows."""
        sets = [
            {"name": one.name, "path": str(one.folder.path), "rows": len(one.rows), "columns": one.columns}
            for one in self.sets
        ]
        types = {name: str(one.rows.schema.field(name).type) for one in self.sets for name in one.columns}
        shown = None if self.map is None else {"rows": len(self.map.places), "of": self.map.total}
        return {"sets": sets, "types": types, "map": shown}

    def points(self) -> dict[str, Any]:
        """The points of the map, each with its data set and row."""
        shown = self._shown_map()
        x, y = (shown.points[:, axis].astype(float).round(4).tolist() for axis in (0, 1))
        return {"x": x, "y": y, "set": shown.places[:, 0].tolist(), "row": shown.places[:, 1].tolist()}

    def values(self, column: str) -> list[Any]:
        """The values of a column for all points of the map.

        Args:
            column: its name; empty for the names of the data sets.

        Returns:
            A value a point.

        Raises:
            ValueError: there is no such column.
        """
        places = self._shown_map().places
        if not column:
            return [self.sets[at].name for at in places[:, 0].tolist()]
        self._check_column(column)
        values: list[Any] = [None] * len(places)
        for number, one in enumerate(self.sets):
            own = np.flatnonzero(places[:, 0] == number)
            for at, value in zip(own.tolist(), one.column(column, places[own, 1]), strict=True):
                values[at] = value
        return values

    def matches(self, where: str) -> list[bool]:
        """For which points of the map a filter holds.

        Args:
            where: the filter.

        Returns:
            A value a point.

        Raises:
            ValueError: the filter cannot be read.
        """
        places = self._shown_map().places
        holds = np.zeros(len(places), bool)
        for number, one in enumerate(self.sets):
            own = places[:, 0] == number
            holds[own] = matching(one.rows, where)[places[own, 1]]
        return holds.tolist()

    def by_row(self, place: Place, options: SearchOptions) -> dict[str, Any]:
        """What is most like a row: like the video that it is of, which is no answer itself.

        Args:
            place: the row.
            options: of the search.

        Returns:
            The answer.

        Raises:
            RefusedError: there is no such row.
            ValueError: the search is not possible.
        """
        self._check(place)
        (row,) = self.sets[place[0]].rows.take([place[1]], ["id"])
        return self._answer(row["id"], options, first=place[0])

    def by_id(self, name: str, options: SearchOptions) -> dict[str, Any]:
        """What is most like an input of the data sets.

        Args:
            name: its id. A file that is none of them is not opened.
            options: of the search.

        Returns:
            The answer.

        Raises:
            RefusedError: it is no id of the data.
            ValueError: the search is not possible.
        """
        for number, one in enumerate(self.sets):
            if len(one.rows.with_id(name)):
                return self._answer(name, options, first=number)
        raise RefusedError(f"{name!r} is no id in these data sets: pick a row, or upload the file.")

    def by_text(self, text: str, options: SearchOptions) -> dict[str, Any]:
        """What fits words best.

        Args:
            text: the words.
            options: of the search.

        Returns:
            The answer.

        Raises:
            ValueError: the network of the data sets has no text tower.
        """
        return self._answer(text, options, text=True)

    def by_files(self, files: Sequence[tuple[str, BinaryIO]], options: SearchOptions) -> dict[str, Any]:
        """What is most like files that were uploaded.

        Args:
            files: name and content of each: one video, or one or several images of one tracklet.
            options: of the search.

        Returns:
            The answer.

        Raises:
            ValueError: they are no videos or images, or cannot be decoded.
        """
        with received(files) as (paths, shown):
            return self._answer(paths, options) | {"query": shown}

    def picture(self, place: Place, *, still: bool) -> bytes:
        """A small picture of a row, animated unless ``still``.

        Args:
            place: the row.
            still: one frame.

        Returns:
            A WebP file.

        Raises:
            RefusedError: there is no such row.
            VideoError: its file cannot be decoded.
        """
        self._check(place)
        return self._pictures.of(self.sets[place[0]], place, still=still)

    def difference(self, one: Sequence[Place], other: Sequence[Place]) -> dict[str, Any]:
        """What sets two groups of rows apart, see `specvid.pipelines.browse.compare`.

        Args:
            one: rows of the first.
            other: rows of the second.

        Returns:
            The comparison; ``representatives`` as cards.

        Raises:
            RefusedError: there is no such row.
            ValueError: a group is empty.
        """
        for place in (*one, *other):
            self._check(place)
        found = compare(self.sets, one, other)
        cards = [[self._card(place) for place in group] for group in found["representatives"]]
        return found | {"representatives": cards}

    def card(self, place: Place) -> dict[str, Any]:
        """The columns of a row.

        Args:
            place: the row.

        Returns:
            Them, with its data set and number.

        Raises:
            RefusedError: there is no such row.
        """
        self._check(place)
        return self._card(place)

    def _card(self, place: Place) -> dict[str, Any]:
        one = self.sets[place[0]]
        (row,) = one.rows.take([place[1]])
        columns = {name: plain(value) for name, value in row.items()}
        return {"set": place[0], "set_name": one.name, "row": place[1], "columns": columns}

    def _answer(
        self, query: str | Sequence[str], options: SearchOptions, *, first: int = 0, text: bool = False
    ) -> dict[str, Any]:
        """Search all data sets, or one; ``first`` is the one that knows the query."""
        if options.group_by:
            self._check_column(options.group_by)
        searched = [first, *(number for number in range(len(self.sets)) if number != first)]
        paths = [self.sets[number].folder.path for number in searched]
        chosen: dict[str, Any] = {"k": options.k, "where": options.where, "group_by": options.group_by}
        if text:
            chosen["text"] = query
        with self._lock:
            answer = search(paths[0], [] if text else query, also=paths[1:], **chosen, **self._settings)
        cards = [
            {"score": row.score, **self._card((searched[at], number))}
            for row, (at, number) in zip(answer.rows, answer.places, strict=True)
        ]
        return {
            "query": answer.query,
            "method": answer.method,
            "searched": answer.rows_searched,
            "warning": answer.warning,
            "rows": cards,
        }

    def _shown_map(self) -> EmbeddingMap:
        if self.map is None:
            raise RefusedError("there is no map: start again without --no-map.")
        return self.map

    def _check(self, place: Place) -> None:
        at, row = place
        if not (0 <= at < len(self.sets) and 0 <= row < len(self.sets[at].rows)):
            raise RefusedError(f"there is no row {row} in data set {at}.")
        deleted = self.sets[at].deleted
        if deleted is not None and deleted[row]:
            raise RefusedError(f"row {row} of data set {at} is deleted.")

    def _check_column(self, name: str) -> None:
        names = list(dict.fromkeys(name for one in self.sets for name in one.columns))
        if name not in names:
            raise unknown("column", name, names)
