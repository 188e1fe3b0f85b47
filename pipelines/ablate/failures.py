"""Trainings of a grid that fail: which of them for one reason, and when the others would, too."""

from collections.abc import Mapping

from specvid.pipelines.engine.meter import DIVERGED


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
        ended: the last line of each by its name, in the order in which they ended; "" of those that did not fail.
        rows: trainings of one seed.

    Returns:
        True where the last ones (`enough`) failed, all for one reason: it is not the row's, and not the seed's. A
        training that diverged is never one of them: whether it does so is the seed's.
    """
    last = list(ended.items())[-enough(rows) :]  # a copy: several threads write
    reasons = {reason(name, line) for name, line in last}
    return len(last) == enough(rows) and len(reasons) == 1 and "" not in reasons and DIVERGED not in reasons.pop()


def enough(rows: int) -> int:
    """How many trainings in a row must fail, before others are given up.

    Args:
        rows: trainings of one seed.

    Returns:
        As many as one seed has, and at least three.
    """
    return max(3, rows)
