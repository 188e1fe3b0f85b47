"""Jester v1: 148,092 clips of 27 hand gestures, as frames (Materzynska et al., ICCV workshops 2019).

The official layout, as distributed and as ``specvid data prepare jester`` makes it::

    jester-v1-labels.csv  -train.csv  -validation.csv       classes, and lines "34870;Drumming Fingers"
    20bn-jester-v1/34870/00001.jpg
"""

import os
from pathlib import Path

from specvid.datasets.layouts.action_set import ActionSet, action_set
from specvid.datasets.layouts.twentybn import read_twentybn

TITLE, CLASSES, TRAIN, VALIDATION = "Jester", 27, 118_562, 14_787


@action_set("jester")
def read_jester(root: str | os.PathLike[str], *, split: int = 1) -> ActionSet:
    """The one split: trained on the train list, tested on the validation list, since test labels are not published.

    Args:
        root: of the data set.
        split: 1.

    Returns:
        The split.

    Raises:
        ValueError: a wrong split, or lists that are missing or damaged.
    """
    return read_twentybn(
        Path(root),
        dataset="jester",
        title=TITLE,
        prefix="jester-v1",
        videos="20bn-jester-v1",
        classes=CLASSES,
        train=TRAIN,
        test=VALIDATION,
        split=split,
    )
