"""docs/blocks.md has a paragraph on every channel or long-range block, replacement and stage, with all it must say."""

import re
from pathlib import Path

import pytest

from specvid.models.blocks import list_blocks
from specvid.models.convolutions import list_convolutions
from specvid.models.stages import STAGE_WRAPPERS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "blocks.md").read_text(encoding="utf-8")
SECTIONS = {
    name: re.split(r"^##", text, flags=re.M)[0]
    for name, text in re.findall(r"(?ms)^### `(\w+)`$(.*?)(?=^### |\Z)", PAGE)
}
NAMES = [*list_blocks("channel"), *list_blocks("long-range"), *list_convolutions(), *STAGE_WRAPPERS]


@pytest.fixture(scope="module")
def tests() -> set[str]:
    sources = (file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    return {name for text in sources for name in re.findall(r"def (test_\w+)", text)}


@pytest.mark.parametrize("name", NAMES)
def test_has_formula_paper_start_and_test(name: str, tests: set[str]) -> None:
    text = SECTIONS["ghost" if name == "c_ghost" else name]
    assert re.search(r"^    .*=", text, flags=re.M), "no formula"
    assert "https://arxiv.org/abs/" in text, "no paper"
    assert re.search(r"\bstarts?\b|cannot keep", text, flags=re.I), "no start"
    named = [word for word in re.findall(r"\b(test_\w+)", text) if f"{word}.py" not in text]
    assert set(named) <= tests
    files = re.findall(r"tests/[\w/]+\.py", text)
    assert named or files, "no test"
    assert all((ROOT / file).is_file() for file in files)
