"""The Python of README.md and docs/index.md runs as it stands, block by block, and prints what the pages say it prints.

A block finds a tiny network in ``runs/snl`` and a video, ``some.mp4``; whatever else it uses, it must make itself.
"""

import contextlib
import doctest
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import specvid
from specvid.datasets.synthetic.encode import write_video

ROOT = Path(__file__).parents[3]
PAGES = ("README.md", "docs/index.md")
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\nprints\n\n((?:    [^\n]*\n)+))?", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> list[tuple[str, list[str], list[str]]]:
    """Of each block of a page: its code, the lines of output shown below it, and those in comments behind a print."""
    found = BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    assert found, f"{page} has no block of Python"
    return [
        (code, [line[4:] for line in shown.splitlines()], re.findall(r"^ *print\(.*\)  # (.*)$", code, re.MULTILINE))
        for code, shown in found
    ]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    clip = {"frames": 4, "stride": 1, "size": 16, "resize": 20}
    model = specvid.create_model("r3d_tiny", blocks="snl@layer2.-1", num_classes=5, input=clip)
    model.save_pretrained(tmp_path / "runs/snl", classes=list("abcde"))
    write_video(tmp_path / "some.mp4", np.random.default_rng(0).integers(0, 255, (9, 24, 32, 3), np.uint8), fps=10)
    return tmp_path


@pytest.mark.parametrize(("page", "number"), [(page, at) for page in PAGES for at in range(len(blocks(page)))])
def test_a_block_runs_alone_and_prints_what_the_page_shows(page: str, number: int, work: Path) -> None:
    code, shown, comments = blocks(page)[number]
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(compile(code, f"{page}, block {number + 1} of Python", "exec"), {"__name__": "__main__"})
    printed = output.getvalue().splitlines()
    assert not shown or printed == shown
    assert [line for line in printed if line in comments] == comments


def test_what_readme_shows_is_compared() -> None:
    assert any(shown for _, shown, _ in blocks("README.md"))
    assert any(comments for _, _, comments in blocks("docs/index.md"))


def test_the_sessions_of_synthetic_md_are_what_python_prints() -> None:
    result = doctest.testfile(str(ROOT / "docs/synthetic.md"), module_relative=False)
    assert (result.failed, result.attempted) == (0, 3)


@pytest.mark.parametrize(("page", "install"), [("README.md", "make demo"), ("docs/index.md", "pip install -e .")])
def test_the_environment_is_activated_before_a_command_needs_it(page: str, install: str) -> None:
    lines = re.findall(r"^    (.*)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    activated = next(at for at, line in enumerate(lines) if ". .venv/bin/activate" in line)
    assert any(line.startswith(install) for line in lines)
    assert activated < next(at for at, line in enumerate(lines) if line.startswith("specvid "))


def test_no_page_names_a_folder_that_users_do_not_have() -> None:
    """But docs/results.md, whose commands are those that were run."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    assert [page.name for page in pages if "../shared" in page.read_text(encoding="utf-8")] in ([], ["results.md"])
