"""Files compared by their checksums: of two large contents that differ pytest would look for differences for hours."""

import hashlib
from pathlib import Path


def sha256(path: Path) -> str:
    """The checksum of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
