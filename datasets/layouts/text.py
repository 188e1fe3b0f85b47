"""Lists and tables as people have them: written on Windows, exported by a spreadsheet, with names spelt otherwise than
on the disk."""

import codecs
import os
import re
from pathlib import Path

from specvid.datasets.layouts.media import is_hidden
from specvid.reading import read_plain
from specvid.text import counted

DELIMITERS = ",;\t|"
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_LABELLED = re.compile(r"(.*\S)\s+(-?\d{1,18})")  # no more digits than an integer of 64 bits takes


def read_text(path: str | os.PathLike[str], encoding: str = "") -> str:
    """A text file, without its byte order mark, its line ends as they are.

    Args:
        path: of the file.
        encoding: of its bytes; UTF-8 if not given, or what its byte order mark says.

    Returns:
        The text.

    Raises:
        OSError: it cannot be read.
        ValueError: its bytes are not of that encoding; the line is named. Or there is no such encoding, or it is no
            plain file.
    """
    data = read_plain(Path(path))
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    if encoding.lower().startswith("latin-"):  # Python knows latin-1, but only latin2
        encoding = encoding.replace("-", "")
    try:
        return data.decode(encoding or marked)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        near = data[max(0, error.start - 12) : error.start + 12]
        raise ValueError(
            f"{os.fspath(path)}, line {line} is not {(encoding or marked).upper()} (near {near!r}): save the file as "
            "UTF-8, or give its encoding, e.g. latin-1"
        ) from None
    except LookupError:
        raise ValueError(f"encoding {encoding!r} is unknown: give e.g. utf-8, latin-1, cp1252 or utf-16") from None


def delimiter_of(text: str) -> str:
    """What parts the columns of a table.

    Args:
        text: of the table.

    Returns:
        The one of ``, ; | TAB`` that its first line has most of, outside quotes.
    """
    header = re.sub(r'"[^"]*"', "", text.lstrip("\r\n").split("\n", 1)[0])
    return max(DELIMITERS, key=header.count)  # the comma where there is none of them


def split_label(line: str) -> tuple[str, str]:
    """The name and the number after it, of a line of a list; "" where there is none. The name may have spaces.

    ``a b.mp4 3`` -> ``("a b.mp4", "3")``.
    """
    match = _LABELLED.fullmatch(line.strip())
    return (match[1], match[2]) if match else (line.strip(), "")


class NameFinder:
    """Finds files by the names that a list gives them, though it parts folders by backslashes or spells a name with
    other capitals.

    Args:
        folder: that the names are relative to.

    Attributes:
        respelt: names that were found otherwise than they are written, with what they are on the disk.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = os.fspath(folder)
        self.respelt: dict[str, str] = {}
        self._listed: dict[str, dict[str, list[str]]] = {}

    def find(self, name: str) -> str:
        """The path of a file.

        Args:
            name: relative to the folder, or absolute.

        Returns:
            A path that exists, or else the name as it is written, in the folder.
        """
        path = os.path.join(self.folder, name)
        if os.path.lexists(path):
            return path
        plain = name.replace("\\", "/")
        for other in (plain, name.strip(), plain.strip()):
            if other != name and other and os.path.lexists(os.path.join(self.folder, other)):
                return os.path.join(self.folder, other)
        found = self._ignore_case(plain)
        if found is None:
            return os.path.join(self.folder, plain)
        self.respelt[name] = found
        return os.path.join(self.folder, found)

    def warnings(self) -> tuple[str, ...]:
        """A sentence where names were found with other capitals; none else."""
        if not self.respelt:
            return ()
        name, found = next(iter(self.respelt.items()))
        return (f"{counted(len(self.respelt), 'name')} spelt with other capitals on the disk, e.g. {name} is {found}",)

    def _ignore_case(self, name: str) -> str | None:
        """The one file that a name can mean if capitals do not matter; None where there is none, or more than one."""
        if os.path.isabs(name):
            return None
        found = ""
        for part in name.split("/"):
            if part in ("", ".", ".."):
                found = os.path.join(found, part)
                continue
            folder = os.path.join(self.folder, found) or os.curdir
            if folder not in self._listed:
                self._listed[folder] = {}
                for entry in os.listdir(folder) if os.path.isdir(folder) else ():
                    if not is_hidden(entry):
                        self._listed[folder].setdefault(entry.lower(), []).append(entry)
            fitting = self._listed[folder].get(part.lower(), [])
            if part not in fitting and len(fitting) != 1:
                return None
            found = os.path.join(found, part if part in fitting else fitting[0])
        return found
