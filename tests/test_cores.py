"""What a process may use is what it is held to, not what the machine has."""

import os
from pathlib import Path

import pytest

from specvid import cores


@pytest.mark.parametrize(
    ("held", "limit", "wanted"),
    [
        (range(8), None, 8),
        (range(8), "max 100000\n", 8),
        (range(8), "250000 100000\n", 2),
        (range(8), "50000 100000\n", 1),
        (range(2), "400000 100000\n", 2),
    ],
)
def test_the_least_of_affinity_and_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: range, limit: str | None, wanted: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(held), raising=False)
    monkeypatch.setattr(cores, "CONTROL_GROUP", tmp_path / "cpu.max")
    if limit is not None:
        (tmp_path / "cpu.max").write_text(limit)
    assert cores.usable_cores() == wanted


def test_a_system_without_affinity_has_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.setattr(cores, "CONTROL_GROUP", tmp_path / "none")
    assert cores.usable_cores() == 6
