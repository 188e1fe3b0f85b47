"""What loading did: nothing is dropped without being counted and named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class LoadReport:
    """Names of tensors; those that were not loaded come with the reason.

    ``matched``: in the model, loaded; ``adapted``: those of them that were changed to fit (inflated, reshaped) and
    how; ``missing``: in the model, not in the file; ``unexpected``: in the file, not in the model; ``mismatched``: in
    both, but of different shapes. The step counters of batch norm (``num_batches_tracked``), which old files lack,
    count as nothing. ``notes``: what else was changed in the model, so that it computes what the weights' own code did.
    """

    source: str
    matched: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    unexpected: Mapping[str, str] = field(default_factory=dict)
    mismatched: Mapping[str, str] = field(default_factory=dict)
    adapted: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.source}: {len(self.matched)} tensors loaded"]
        for title in ("adapted", "missing", "unexpected", "mismatched"):
            lines += [f"  {title}: {line}" for line in summarise(getattr(self, title))]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def summarise(names: Mapping[str, str]) -> list[str]:
    """One line a reason: how many names it concerns, and the first of them."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in names.items():
        by_reason.setdefault(reason, []).append(name)
    return [
        f"{group[0]}{f' and {len(group) - 1} more' if len(group) > 1 else ''}: {reason}"
        for reason, group in by_reason.items()
    ]
