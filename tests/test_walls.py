"""The walls between the rooms hold: a deliberate breach of each contract of import-linter is found."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("models", "datasets", "eval", "pipelines", "tools")

pytest.importorskip("importlinter", reason="import-linter comes with `pip install -e '.[dev]'`")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("walls") / "checkout"
    for folder in ("src", *FOLDERS):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def lint(checkout: Path) -> tuple[int, str]:
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    env = os.environ | {"PYTHONPATH": str(checkout / "src"), "COLUMNS": "200"}
    ran = subprocess.run([sys.executable, "-c", code], cwd=checkout, env=env, capture_output=True, text=True)
    return ran.returncode, ran.stdout + ran.stderr


def test_all_walls_stand(checkout: Path) -> None:
    code, output = lint(checkout)
    assert code == 0, output


@pytest.mark.parametrize(
    ("file", "imported", "broken"),
    [
        ("models/blocks/norms.py", "specvid.models.backbones.registry", "Blocks know no backbones"),
        ("models/heads.py", "specvid.datasets.clips", "Rooms stand on each other"),
        ("datasets/clips/sampling.py", "specvid.models.heads", "Rooms stand on each other"),
        ("eval/classification.py", "specvid.pipelines.engine.log", "Rooms stand on each other"),
        ("pipelines/engine/log.py", "specvid.tools.bench", "Rooms stand on each other"),
        ("tools/timing.py", "specvid.cli.verb", "Rooms stand on each other"),
        ("src/specvid/errors.py", "specvid.files", "Rooms stand on each other"),
        ("pipelines/reid/evaluate.py", "specvid.pipelines.action.evaluate", "Tasks and products meet only"),
        ("pipelines/export/job.py", "specvid.pipelines.embed.job", "Tasks and products meet only"),
        ("pipelines/embed/job.py", "specvid.pipelines.search.query", "Tasks and products meet only"),
        ("models/blocks/norms.py", "specvid.models.blocks.block", "No circle between files or folders"),
    ],
)
def test_a_breach_is_found(checkout: Path, file: str, imported: str, broken: str) -> None:
    path = checkout / file
    whole = path.read_text()
    try:
        path.write_text(f"{whole}\nimport {imported}\n")
        code, output = lint(checkout)
    finally:
        path.write_text(whole)
    assert code == 1
    assert [line for line in output.splitlines() if line.startswith(broken) and " BROKEN" in line], output
