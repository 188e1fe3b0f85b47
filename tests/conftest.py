"""Before a test imports torch: one thread a process, because the networks of tests are tiny and `make test` runs a
process a core; and threads that wait do not spin for long, as in the command line."""

import os
import resource
from collections.abc import Iterator
from importlib.util import find_spec

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

import specvid.__main__  # noqa: F401

# Some tests kill processes: a memory image of each would be gigabytes.
resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def pytest_configure(config: pytest.Config) -> None:
    """mmaction2 imports yapf, which writes a cache when it is imported first; two processes at once read half of it."""
    if not hasattr(config, "workerinput") and find_spec("yapf"):
        import yapf  # noqa: F401


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests of a GPU are skipped where there is none."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("PyTorch sees no GPU")


@pytest.fixture(autouse=True)
def safe_path_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command line sets for the processes that it starts is undone after a test that calls it."""
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    monkeypatch.delenv("PYTHONSAFEPATH")


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    """Give PyTorch back the number of threads it had: after a test that leaves two, all others wait for each other."""
    import torch  # not above: what specvid.__main__ sets is read when torch is imported

    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
