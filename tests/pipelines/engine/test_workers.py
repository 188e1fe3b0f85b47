"""Processes that decode: what a fork leaves of the threads of OpenCV and PyTorch."""

import multiprocessing
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from synthetic_videos import write_numbered

from specvid.datasets.clips.spec import ClipSpec
from specvid.pipelines.embed.config import WindowConfig
from specvid.pipelines.embed.feed import read_ahead
from specvid.pipelines.embed.inputs import Sources, find_inputs
from specvid.pipelines.embed.reading import Reader
from specvid.pipelines.embed.windows import WindowPlanner
from specvid.pipelines.engine.isolated import IsolatedCalls
from specvid.pipelines.engine.workers import start_worker

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


@pytest.fixture
def busy_opencv():
    """OpenCV with threads in this process."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(4)
    cv2.GaussianBlur(np.zeros((1500, 1500, 3), np.float32), (31, 31), 5)
    yield
    cv2.setNumThreads(before)


def _use_opencv() -> None:
    start_worker(0)
    image = cv2.GaussianBlur(np.zeros((1500, 1500, 3), np.float32), (31, 31), 5)
    os._exit(image.shape[0] % 7 + cv2.getNumThreads())  # 2 + 1


def test_a_forked_process_uses_opencv_without_the_threads_of_its_parent(busy_opencv) -> None:
    process = multiprocessing.get_context("fork").Process(target=_use_opencv)
    process.start()
    process.join(30)
    code = process.exitcode
    process.kill()
    assert code == 3


def _join_large_tensors() -> int:
    return len(torch.cat([torch.zeros(500_000)] * 4))


def test_a_forked_process_uses_torch_without_the_threads_of_its_parent(tmp_path: Path) -> None:
    """With more than one thread, a report waited for the first clip of its blocks until it gave up."""
    torch.set_num_threads(2)  # conftest.py sets it back
    assert _join_large_tensors() == 2_000_000
    with IsolatedCalls(seconds=20) as isolated:
        assert isolated("a.avi", _join_large_tensors) == 2_000_000


def test_videos_are_embedded_whatever_opencv_does_in_the_main_process(busy_opencv, tmp_path: Path) -> None:
    sources = find_inputs([write_numbered(tmp_path)]).table
    reader = Reader(WindowPlanner(WindowConfig(), ClipSpec(8, 2, (32, 32), (32, 48))))
    chunks = [chunk for _, chunk in read_ahead(Sources(sources, range(1)), reader, workers=1, timeout=20)]
    assert chunks[-1].last
    assert not any(chunk.error for chunk in chunks)
    assert any(chunk.clips is not None and len(chunk.clips) for chunk in chunks)
