"""Several runs side by side: the differences of their figures to the first ones', paired over seeds."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from specvid.eval.report import Figures, Group, group

OVER = ("seed",)


@dataclass(frozen=True)
class Difference:
    """The figures of some runs minus those of the runs that they are compared with, all of one context.

    Attributes:
        context: what was scored.
        these: which runs.
        others: which they are compared with.
        figures: for each figure that both have, the mean of the differences, a share, and their sample deviation over
            seeds; None for a single one.
        pairs: seeds that both have; 0 where they share none, and then means are compared.
        alone: seeds that only one of them has, which are left out where there are pairs.
    """

    context: str
    these: str
    others: str
    figures: Mapping[str, tuple[float, float | None]]
    pairs: int
    alone: tuple[str, ...] = ()


def differences(evaluations: Sequence[Figures]) -> list[Difference]:
    """Compare the groups of runs of each context with the first of them.

    Args:
        evaluations: of all runs.

    Returns:
        The differences of each other group. Over seeds that both groups have they are paired: mean and sample deviation
        of the differences. Without a common seed it is that of the means, and the deviation is the root of the sum of
        both variances.
    """
    contexts: dict[str, list[Figures]] = {}
    for evaluation in evaluations:
        about = sorted((name, repr(value)) for name, value in evaluation.context.items())
        contexts.setdefault(repr(about), []).append(evaluation)
    found = []
    for members in contexts.values():
        groups = group(members, over=OVER)
        labels = labels_of(groups)
        context = ", ".join(f"{name} {value}" for name, value in groups[0].context.items())
        for other, label in zip(groups[1:], labels[1:], strict=True):
            shared = [name for name in groups[0].values if name in other.values]
            pairs = len(set(other.seeds) & set(groups[0].seeds))
            alone = tuple(sorted(set(other.seeds) ^ set(groups[0].seeds), key=str))
            figures = {name: _difference(groups[0], other, name) for name in shared}
            found.append(Difference(context, label, labels[0], figures, pairs, alone))
    return found


def labels_of(groups: Sequence[Group]) -> list[str]:
    """What tells groups apart.

    Args:
        groups: of one context.

    Returns:
        For each group the settings in which any of them differ, and where there are none, its runs.
    """
    names = dict.fromkeys(name for one in groups for name in one.settings)
    differ = [name for name in names if len({repr(one.settings.get(name)) for one in groups}) > 1]
    return [
        ", ".join(f"{name} {one.settings.get(name) or '-'}" for name in differ) or ", ".join(one.runs) for one in groups
    ]


def _difference(first: Group, other: Group, figure: str) -> tuple[float, float | None]:
    """Mean and deviation of a figure's differences."""
    own, base = (dict(zip(one.seeds, one.values[figure], strict=True)) for one in (other, first))
    pairs = [own[seed] - base[seed] for seed in own if seed in base]
    if pairs:
        return statistics.fmean(pairs), statistics.stdev(pairs) if len(pairs) > 1 else None
    deviations = [value for value in (other.deviation(figure), first.deviation(figure)) if value is not None]
    spread = sum(value**2 for value in deviations) ** 0.5 if len(deviations) == 2 else None
    return other.mean(figure) - first.mean(figure), spread
