"""Starting a run while another job starts the same one."""

from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from specvid.pipelines.action.config import ActionConfig
from specvid.pipelines.engine.run import RunFolder
from specvid.pipelines.engine.start import start_run

ALONE: Any = SimpleNamespace(global_rank=0, broadcast=lambda value, src=0: value)


@pytest.mark.parametrize("resume", ["auto", "never"])
def test_another_job_begins_the_run_in_between(resume: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ActionConfig(runs=str(tmp_path), name="a", resume=resume)
    with ExitStack() as held:
        start_run(ALONE, config, held=held)
    answers = iter([False])  # to whoever looks first; then it is there
    started = RunFolder.started.fget
    monkeypatch.setattr(RunFolder, "started", property(lambda run: next(answers, started(run))))
    with ExitStack() as held:
        if resume == "auto":
            assert start_run(ALONE, config, held=held).path == tmp_path / "a"
        else:
            with pytest.raises(ValueError, match=r"exists already\. Continue it with --resume auto"):
                start_run(ALONE, config, held=held)
