"""What is left out of a table of crops, in words, and what to do about it."""

from collections.abc import Mapping

from specvid.text import counted


def reasons(counts: Mapping[str, int], *, least: int = 1) -> dict[str, str]:
    """Why boxes, tracks and images are not in a table.

    Args:
        counts: how many tracks are ``short``, boxes behind the ``end`` of a video of ``frames`` frames or ``outside``
            the picture, and images ``unfit``; what is not there is 0.
        least: boxes that a track must have.

    Returns:
        What is left out, with its number, and what to do about it; nothing of what is 0.
    """
    short, end, outside, unfit = (counts.get(what, 0) for what in ("short", "end", "outside", "unfit"))
    words = (
        (short, f"{counted(short, 'track')} shorter than --least {least}", "a lower --least takes more"),
        (
            end,
            f"{counted(end, 'box')} behind the last frame ({counts.get('frames', 0):,})",
            "give the video that the tracker read, all of it",
        ),
        (
            outside,
            f"{counted(outside, 'box')} outside the picture",
            "where there are many, give the video in the size that the tracker read",
        ),
        (
            unfit,
            f"{counted(unfit, 'image')} whose path --names does not fit, or without a track or frame in it",
            "where these are crops, mend the expression",
        ),
    )
    return {what: remedy for number, what, remedy in words if number}
