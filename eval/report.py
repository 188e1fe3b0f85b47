"""Many runs as one table: runs that differ only in their seed are one row, with mean and sample deviation."""

import os
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_FILES = "weights"  # the setting whose values are paths
NO_SHARES = {"spread": 3, "dimensions": 1, "correlation": 3}
"""Figures that are no shares of 1, and how many decimals they are told with; all others are told in %."""


@dataclass(frozen=True)
class Figures:
    """One evaluation of one run.

    Attributes:
        run: its name.
        settings: everything that was set, flat.
        context: what the figures are of (data set, split, views ...).
        values: the figures: shares in [0, 1], or what `figure_text` tells as it is.
    """

    run: str
    settings: Mapping[str, Any]
    context: Mapping[str, Any]
    values: Mapping[str, float]


@dataclass(frozen=True)
class Group:
    """Evaluations of the same settings in the same context.

    Attributes:
        runs: names of the runs.
        settings: what all of them have set.
        context: what the figures are of.
        values: each figure, run by run.
        seeds: the seed of each run, as text.
    """

    runs: tuple[str, ...]
    settings: Mapping[str, Any]
    context: Mapping[str, Any]
    values: Mapping[str, tuple[float, ...]]
    seeds: tuple[str, ...] = ()

    def mean(self, name: str) -> float:
        """Mean of a figure over the runs.

        Args:
            name: the figure.
        """
        return statistics.fmean(self.values[name])

    def deviation(self, name: str) -> float | None:
        """Sample deviation (n - 1) of a figure; None of a single run.

        Args:
            name: the figure.
        """
        return statistics.stdev(self.values[name]) if len(self.values[name]) > 1 else None


def figure_text(name: str, value: float, deviation: float | None = None, *, sign: str = "") -> str:
    """A figure as it stands in tables: shares in %, without the sign, what is no share as it is.

    Args:
        name: of the figure, as results.json has it.
        value: the figure, or a difference of two.
        deviation: beside it, where there is one.
        sign: ``+`` where a plus is to be written.

    Returns:
        E.g. ``81.07 ± 0.42`` of 0.8107, and ``2.9`` of ``dimensions``.
    """
    scale, decimals = (1, NO_SHARES[name]) if name in NO_SHARES else (100, 2)
    text = f"{scale * value:{sign}.{decimals}f}"
    return text if deviation is None else f"{text} ± {scale * deviation:.{decimals}f}"


def unit_of(names: Collection[str]) -> str:
    """What a table of figures is in, for its caption.

    Args:
        names: its columns, figures among them.

    Returns:
        ``%``, and which of them are no shares.
    """
    plain = [name for name in names if name in NO_SHARES]
    return f"% ({', '.join(plain)}: as they are)" if plain else "%"


def kinds(evaluations: Sequence[Figures]) -> list[list[Figures]]:
    """Evaluations by what was measured: those of each have the same figures, so that a table of them has no gaps.

    Args:
        evaluations: of any runs.

    Returns:
        The kinds, in the order in which their first evaluations come.
    """
    found: dict[frozenset[str], list[Figures]] = {}
    for evaluation in evaluations:
        found.setdefault(frozenset(evaluation.values), []).append(evaluation)
    return list(found.values())


def group(evaluations: Sequence[Figures], *, over: Collection[str] = ("seed",)) -> list[Group]:
    """Group evaluations whose settings and context are equal but for some.

    Args:
        evaluations: of any runs.
        over: names of settings and contexts that may differ within a group.

    Returns:
        The groups, in the order in which their first evaluations come.
    """
    members: dict[str, list[Figures]] = {}
    for evaluation in evaluations:
        same = [
            sorted((name, repr(value)) for name, value in part.items() if name not in over)
            for part in (evaluation.settings, evaluation.context)
        ]
        members.setdefault(repr(same), []).append(evaluation)
    groups = []
    for group_ in members.values():
        names = [name for name in group_[0].values if all(name in member.values for member in group_)]
        groups.append(
            Group(
                runs=tuple(member.run for member in group_),
                settings={name: value for name, value in group_[0].settings.items() if name not in over},
                context={name: value for name, value in group_[0].context.items() if name not in over},
                values={name: tuple(member.values[name] for member in group_) for name in names},
                seeds=tuple(str(member.settings.get("seed")) for member in group_),
            )
        )
    return groups


def repeated(evaluations: Sequence[Figures], *, over: Collection[str] = ("seed",)) -> list[str]:
    """What to say of runs that are averaged although not even their seeds differ: copies, or the same training again.

    Args:
        evaluations: of any runs.
        over: what may differ within a group, as for `group`.

    Returns:
        A sentence for each set of such runs.
    """
    found: dict[tuple[str, ...], str] = {}
    for same in group(evaluations, over=()):
        runs = tuple(dict.fromkeys(same.runs))
        if len(runs) > 1 and same.settings:  # several runs fused have none
            about = {**same.settings, **same.context}
            values = ", ".join(f"{name} {_text(about.get(name))}" for name in over)
            found[runs] = (
                f"{', '.join(runs)} have the same settings and the same {values}: they count as {len(runs)} runs of "
                "the mean and the deviation. Leave copies out."
            )
    return list(found.values())


def table(groups: Sequence[Group], metrics: Sequence[str], *, always: Sequence[str] = ()) -> list[list[str]]:
    """A table over groups: settings that differ, context, number of runs, figures (`figure_text`).

    A group without any settings (several runs fused) says nothing about which of them differ. Of files of weights the
    name is shown where it tells them apart. A figure reads ``81.07 ± 0.42``, without deviation where there was one run,
    ``-`` where it was not measured.

    Args:
        groups: a row each.
        metrics: the figures to show.
        always: settings that are shown although they do not differ.

    Returns:
        Rows of text, the heading first, for ``specvid.text``.
    """
    settings = list(dict.fromkeys(name for group_ in groups for name in group_.settings))
    contexts = list(dict.fromkeys(name for group_ in groups for name in group_.context))
    shown = [name for name in settings if name in always or _differs(groups, name)]
    short = _file_names({_text(group_.settings.get(_FILES)) for group_ in groups})
    rows = [[*shown, *contexts, "runs", *metrics]]
    for group_ in groups:
        row = [_text(group_.settings.get(name)) for name in shown]
        row = [short.get(text, text) if name == _FILES else text for name, text in zip(shown, row, strict=True)]
        row += [_text(group_.context.get(name)) for name in contexts]
        row.append(str(len(group_.runs)))
        rows.append(row + [_figure(group_, name) for name in metrics])
    return rows


def _differs(groups: Sequence[Group], name: str) -> bool:
    return len({repr(group_.settings.get(name)) for group_ in groups if group_.settings}) > 1


def _file_names(paths: set[str]) -> dict[str, str]:
    """The names of files without their folders, where these still tell them apart."""
    names = {path: os.path.basename(path.rstrip("/")) or path for path in paths}
    return names if len(set(names.values())) == len(names) else {}


def _text(value: Any) -> str:
    return "-" if value in (None, "", [], ()) else str(value)


def _figure(group_: Group, name: str) -> str:
    if name not in group_.values:
        return "-"
    return figure_text(name, group_.mean(name), group_.deviation(name))
