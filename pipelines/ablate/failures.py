"""Trainings of a grid that fail: which of them for one reason, and when the others would, too."""

from collections.abc import Mapping


def reason(name: str, last: str) -> str:
    """Why a training failed, in words that another one would have, too.

    Args:
        name: of its run.
        last: line that it printed.

    Returns:
        The line without the name.
    """
    return last.replace(name, "...")


def would_all_fail(ended: Mapping[str, str], rows: int) -> bool:
    """Whether the trainings that ended say that the others will fail, too.

    Args:
        ended: the last line of each by its name; "" of those that did not fail.
        rows: trainings of one seed.

    Returns:
        True where as many as one seed has, and at least two, failed, all for one reason: it is not the row's, and not
        the seed's.
    """
    reasons = {reason(name, last) for name, last in list(ended.items())}  # a copy: several threads write
    return len(ended) >= max(2, rows) and len(reasons) == 1 and "" not in reasons
