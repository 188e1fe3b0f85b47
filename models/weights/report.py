"""What loading did: nothing is dropped without being counted and named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class LoadReport:
    """What became of each tensor when weights were loaded.

    The step counters of batch norm (``num_batches_tracked``), which old files lack, count as nothing.

    Attributes:
        source: The file or name.
        matched: In the model, loaded.
        missing: In the model, not in the file, with the reason.
        unexpected: In the file, not in the model, with the reason.
        mismatched: In both, but of different shapes, with the reason.
        adapted: Those of ``matched`` that were changed to fit (inflated, reshaped), and how.
        messages: What else was changed in the model, so that it computes what the weights' own code did.
    """

    source: str
    matched: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    unexpected: Mapping[str, str] = field(default_factory=dict)
    mismatched: Mapping[str, str] = field(default_factory=dict)
    adapted: Mapping[str, str] = field(default_factory=dict)
    messages: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.source}: {len(self.matched)} tensors loaded"]
        for title in ("adapted", "missing", "unexpected", "mismatched"):
            lines += [f"  {title}: {line}" for line in summarise(getattr(self, title))]
        return "\n".join([*lines, *(f"  {message}" for message in self.messages)])


def summarise(names: Mapping[str, str]) -> list[str]:
    """Summarise names by the reason they come with.

    Args:
        names: Reason by name.

    Returns:
        One line a reason: how many names it concerns, and the first of them.
    """
    by_reason: dict[str, list[str]] = {}
    for name, reason in names.items():
        by_reason.setdefault(reason, []).append(name)
    return [
        f"{group[0]}{f' and {len(group) - 1} more' if len(group) > 1 else ''}: {reason}"
        for reason, group in by_reason.items()
    ]
