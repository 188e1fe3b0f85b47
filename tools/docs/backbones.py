"""Writes the table of backbones (`specvid.models.table`) anew: run it where a backbone, block or weights were added.

python -m specvid.tools.docs.backbones                  all: a minute or two
python -m specvid.tools.docs.backbones 'r3d*' resnet18  these and new ones; the others stay as they stand
"""

import dataclasses
import fnmatch
import json
import sys
from collections.abc import Sequence

from specvid.files import write_text
from specvid.models.about import backbone_info
from specvid.models.backbones.registry import list_backbones
from specvid.models.blocks import list_blocks
from specvid.models.convolutions import list_convolutions
from specvid.models.insertion.parts import list_parts
from specvid.models.table import FILE, read_table


def main(patterns: Sequence[str] = ()) -> None:
    """Build backbones on the meta device and write what they cost.

    Args:
        patterns: names, or patterns of names; all if there are none.
    """
    known = read_table().backbones if patterns and FILE.is_file() else {}
    backbones = []
    for name in list_backbones():
        wanted = name not in known or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        backbones.append(dataclasses.asdict(backbone_info(name) if wanted else known[name]))
    lists = {"blocks": list_blocks(), "parts": list_parts(), "convolutions": list_convolutions()}
    write_text(FILE, as_text({"backbones": backbones} | lists))
    print(f"{FILE}: {len(backbones)} backbones")


def as_text(table: dict[str, list]) -> str:
    """The table as JSON with a line for each entry, so that a change is a line.

    Args:
        table: lists by name.

    Returns:
        The JSON.
    """
    lists = [
        f"{json.dumps(name)}: [\n  " + ",\n  ".join(json.dumps(entry) for entry in entries) + "\n ]"
        for name, entries in table.items()
    ]
    return "{\n " + ",\n ".join(lists) + "\n}\n"


if __name__ == "__main__":
    main(sys.argv[1:])
