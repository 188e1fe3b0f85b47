"""Cells of a table over seeds: figures with their deviation, paired differences, and how far blocks are used."""

import statistics
from collections.abc import Sequence

from specvid.pipelines.ablate.statistics import Difference
from specvid.text import percent


def spread(shares: Sequence[float]) -> str:
    """Mean and sample deviation, in per cent.

    Args:
        shares: a figure of each seed, of 1.
    """
    mean = f"{100 * statistics.fmean(shares):.2f}"
    return f"{mean} ± {100 * statistics.stdev(shares):.2f}" if len(shares) > 1 else mean


def points(difference: Difference | None) -> str:
    """A difference of shares and its interval, in points.

    Args:
        difference: of shares of 1; None: there is none.
    """
    if difference is None:
        return "-"
    mean = 100 * difference.mean
    if difference.deviation is None:
        return _signed(mean)
    half = 100 * difference.half_width
    return f"{_signed(mean)} [{_signed(mean - half)}, {_signed(mean + half)}]"


def _signed(value: float) -> str:
    """A difference with its sign; one that rounds to 0 has a plus, whichever side it is on."""
    return f"{round(value, 2) + 0.0:+.2f}"


def use(gates: Sequence[float], shares: Sequence[float]) -> tuple[str, str]:
    """Where gates stand, and what blocks add to the features in per cent: from the least to the most.

    Args:
        gates: of some blocks.
        shares: what they add, of 1.

    Returns:
        Two cells, ``-`` where there is nothing.
    """
    gate = f"{min(gates):+.3f} to {max(gates):+.3f}" if gates else "-"
    return gate, f"{percent(min(shares))} to {percent(max(shares))}" if shares else "-"
