"""Tasks in processes: all are done, few are handed out at a time, and one that kills its process costs only itself."""

import sys
from pathlib import Path

import pytest
from pool_tasks import square_or_die

from specvid.tools.data import pool
from specvid.tools.data.pool import run_tasks


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_task_that_kills_its_process(tmp_path: Path) -> None:
    done = {task[0]: result for task, result in run_tasks([(n, str(tmp_path)) for n in range(30)], square_or_die, 1)}
    assert done == {number: None if number == 4 else number**2 for number in range(30)}


def test_the_first_result_comes_before_the_last_task_is_handed_out(tmp_path: Path) -> None:
    results = run_tasks(((number, str(tmp_path)) for number in range(5, 200)), square_or_die, 1)
    (number, _), square = next(results)  # that of any task which is done
    assert square == number**2
    results.close()
    assert 1 <= len(list(tmp_path.iterdir())) <= pool._AHEAD + 2
