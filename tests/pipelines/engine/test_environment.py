"""What results.json says of the machine is what the training had of it."""

import os
from pathlib import Path

import pytest
import torch

from specvid import cores
from specvid.pipelines.engine.environment import describe_environment


def test_threads_are_out_of_the_cores_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "CONTROL_GROUP", Path("/nowhere"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 5, 6}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert describe_environment()["cpu threads"] == f"{torch.get_num_threads()} of 3"
