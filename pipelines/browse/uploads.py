"""Files that are uploaded to be searched with: they lie on the disk while they are decoded, under names of ours."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from specvid.datasets.layouts.media import IMAGES, VIDEOS
from specvid.datasets.layouts.reid_set import natural_key

_BLOCK = 2**20  # bytes that are copied at a time


@contextmanager
def received(files: Sequence[tuple[str, BinaryIO]]) -> Iterator[tuple[list[str], str]]:
    """Put uploaded files into a folder while the block runs.

    Args:
        files: name and content of each: one video, or one or several images of one tracklet.

    Yields:
        Their paths, in the natural order of their names; and what they are called where they are shown.

    Raises:
        ValueError: they are no videos or images; also of an error about them in the block, by the names they came with.
    """
    if not files:
        raise ValueError("no file was uploaded.")
    files = sorted(files, key=lambda file: natural_key(file[0]))
    suffixes = [os.path.splitext(name)[1].lower() for name, _ in files]
    for (name, _), suffix in zip(files, suffixes, strict=True):
        if suffix not in (IMAGES if len(files) > 1 else IMAGES | VIDEOS):
            kind = "image: upload one video, or the images of one tracklet" if len(files) > 1 else "video or image"
            raise ValueError(f"{name!r} is no {kind}.")
    with tempfile.TemporaryDirectory(prefix="specvid-browse-") as folder:
        paths = [str(Path(folder) / f"{i:06d}{suffix}") for i, suffix in enumerate(suffixes)]
        for (_, content), path in zip(files, paths, strict=True):
            with open(path, "wb") as file:
                while block := content.read(_BLOCK):
                    file.write(block)
        try:
            yield paths, files[0][0] if len(files) == 1 else f"{len(files)} images, the first is {files[0][0]}"
        except ValueError as error:
            text = str(error)
            for path, (name, _) in zip(paths, files, strict=True):
                text = text.replace(path, name)
            raise ValueError(text.replace(folder + os.sep, "")) from None
