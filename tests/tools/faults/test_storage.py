"""Storage that is taken away from verbs at work."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, mounts disks, and looks into /proc")

ALL = ["limited", "unwritable", "vanishing", "growing", "inside", "twice"]


def take_away(*words: str) -> list[list[str]]:
    """The rows of the table."""
    command = [sys.executable, "-W", "ignore", "-m", "specvid.tools.faults.storage", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()[2:]]


def test_verbs_that_are_quick() -> None:
    rows = take_away("report", "search build", "data prepare", "--tries", "2")
    assert {row[0] for row in rows} - {"full", "read-only"} == set(ALL)  # those two where disks can be mounted
    for fault, verb, tried, refused, done, wrong in rows:
        assert int(tried) >= 1 and wrong == "0", (fault, verb)
        assert int(refused) == int(tried) or fault not in ("full", "limited", "read-only", "unwritable"), (fault, verb)
        assert int(done) + int(refused) == int(tried) * (2 if fault == "twice" else 1), (fault, verb)


@pytest.mark.slow
@pytest.mark.parametrize(
    "verb",
    [
        "train action", "train reid", "train pretrain", "embed", "export", "eval action", "eval reid", "eval features",
        "search query", "data synthesize", "data shrink",
    ],
)  # fmt: skip
def test_every_other_verb(verb: str) -> None:
    take_away(verb, "--tries", "3")
