"""A row that a search found: what the search says of it, apart from what its columns say."""

import math
from dataclasses import dataclass, field
from typing import Any

from specvid.pipelines.embed.row_files import RowFiles


@dataclass(frozen=True)
class FoundRow:
    """A row that a search found. Its columns may have any names, those of the other attributes too.

    Attributes:
        rank: from 1; of duplicates its place in the group.
        score: cosine with the query; of duplicates with the first row of the group.
        columns: all but the embedding, by name.
        data_set: the folder it is from, where several are searched; else empty.
        files: finds the files of its data set; None where they lie as the column ``path`` says.
    """

    rank: int
    score: float
    columns: dict[str, Any]
    data_set: str = ""
    files: RowFiles | None = field(default=None, compare=False, repr=False)

    @property
    def file(self) -> str:
        """The path that opens what the column ``path`` names. The first call reads the list of inputs."""
        path: str = self.columns["path"]
        return self.files.path(self.columns["id"], path) if self.files else path

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON has it: rank, score, data_set where there are several, and columns.

        Returns:
            A dictionary with a dictionary of the columns in it.
        """
        of = {"data_set": self.data_set} if self.data_set else {}
        return {"rank": self.rank, "score": self.score, **of, "columns": _as_json(self.columns)}


def _as_json(value: Any) -> Any:
    """A value of a column without numbers that JSON has not: they become text."""
    if isinstance(value, dict):
        return {str(name): _as_json(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_as_json(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
