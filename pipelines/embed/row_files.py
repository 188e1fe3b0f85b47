"""The files of rows, as paths that open: those in a data set may be relative to other folders than the current one."""

from functools import cached_property

from specvid.pipelines.embed.bases import RELATIVE_TO
from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.growing import Inputs, read_inputs


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
        return self.files(name, path)[0]

    def files(self, name: str, path: str) -> list[str]:
        """The files of a row.

        Args:
            name: the id of the row.
            path: as the row has it.

        Returns:
            Of a tracklet its images in order; else the one file or folder.
        """
        if not self._says_more and "\\" not in path:  # a row has bytes that are no text as escapes
            return [path]
        inputs, rows = self._inputs
        if inputs is None or name not in rows:
            return [path]
        (files,) = inputs.bases.files(inputs.table.slice(rows[name], 1), [rows[name]])
        return files

    @cached_property
    def _says_more(self) -> bool:
        """Whether the list of inputs has more of a file than its row: where it lies, or the images of a tracklet."""
        import pyarrow.parquet as pq

        if not self.folder.inputs.is_file():
            return False
        return bool(self.folder.metadata().get(RELATIVE_TO)) or "files" in pq.read_schema(self.folder.inputs).names

    @cached_property
    def _inputs(self) -> tuple[Inputs | None, dict[str, int]]:
        """The list of inputs, and the row of each id in it."""
        if not self.folder.inputs.is_file():
            return None, {}
        inputs = read_inputs(self.folder)
        return inputs, {name: row for row, name in enumerate(inputs.table["id"].to_pylist())}
