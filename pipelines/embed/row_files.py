"""The files of rows, as paths that open: those in a data set may be relative to other folders than the current one."""

import os
from functools import cached_property

from specvid.pipelines.embed.bases import HERE, RELATIVE_TO, Bases
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.growing import read_inputs


class RowFiles:
    """Finds the files of the rows of a folder of embeddings; reads its list of inputs when it is needed first.

    Args:
        folder: the folder.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def path(self, name: str, path: str) -> str:
        """The file or folder of a row; of a tracklet its first image.

        Args:
            name: the id of the row.
            path: as the row has it.

        Returns:
            A path that opens.
        """
        bases, rows = self._places
        return bases.join(rows[name], path) if name in rows else path

    def files(self, name: str, path: str) -> list[str]:
        """The files of a row.

        Args:
            name: the id of the row.
            path: as the row has it.

        Returns:
            Of a tracklet its images in order; else the one file or folder.
        """
        return self._images.get(name) or [self.path(name, path)]

    @cached_property
    def _places(self) -> tuple[Bases, dict[str, int]]:
        """What relative paths are relative to, and the row in the list of each id; of no id where that is here."""
        if not (self.folder.metadata().get(RELATIVE_TO) and self.folder.inputs.is_file()):
            return HERE, {}
        table, _, bases = read_inputs(self.folder)
        names = table["id"].to_pylist() if any(bases.folders) else []
        return bases, {name: row for row, name in enumerate(names)}

    @cached_property
    def _images(self) -> dict[str, list[str]]:
        """The images of each input that is a tracklet."""
        import pyarrow.parquet as pq

        if not (self.folder.inputs.is_file() and "files" in pq.read_schema(self.folder.inputs).names):
            return {}
        table, _, bases = read_inputs(self.folder)
        pairs = zip(table["id"].to_pylist(), table["files"].to_pylist(), strict=True)
        return {
            name: [bases.join(row, os.fsdecode(path)) for path in paths]
            for row, (name, paths) in enumerate(pairs)
            if paths
        }
