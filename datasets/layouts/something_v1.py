"""Something-Something v1: 108,499 clips of 174 classes, as frames (Goyal et al., ICCV 2017, arXiv:1706.04261).

The official layout, as distributed and as ``specvid data prepare something-v1`` makes it::

    something-something-v1-labels.csv  -train.csv  -validation.csv      classes, and lines "100218;Unfolding something"
    20bn-something-something-v1/100218/00001.jpg
"""

import os
from pathlib import Path

from specvid.datasets.layouts.action_set import ActionSet, action_set
from specvid.datasets.layouts.twentybn import read_twentybn

TITLE, CLASSES, TRAIN, VALIDATION = "Something-Something v1", 174, 86_017, 11_522


@action_set("something-v1")
def read_something_v1(root: str | os.PathLike[str], *, split: int = 1) -> ActionSet:
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
        dataset="something-v1",
        title=TITLE,
        prefix="something-something-v1",
        videos="20bn-something-something-v1",
        classes=CLASSES,
        train=TRAIN,
        test=VALIDATION,
        split=split,
    )
