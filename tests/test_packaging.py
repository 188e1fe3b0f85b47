"""The folders at the root are the subpackages of ``specvid``: in an editable install, and in a wheel."""

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("models", "datasets", "pipelines", "eval", "tools")
IMPORTS = "import specvid, specvid.models.blocks, specvid.datasets, specvid.pipelines, specvid.eval, specvid.tools"


def _modules() -> set[str]:
    """Every module of the checkout, as its path in a wheel."""
    own = [*(ROOT / "src/specvid").glob("*.py"), *(ROOT / "src/specvid/cli").rglob("*.py")]
    files = {f"specvid/{path.relative_to(ROOT)}" for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    return files | {f"specvid/{path.relative_to(ROOT / 'src/specvid')}" for path in own}


def _run(code: str, cwd: Path, **env: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=os.environ | env, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the checkout, unpacked."""
    pytest.importorskip("setuptools")
    work = tmp_path_factory.mktemp("wheel")
    source = work / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("src", *FOLDERS):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("*.egg-info"))
    return _unpacked_wheel(source, work)


def _unpacked_wheel(source: Path, work: Path) -> Path:
    """Build the wheel of a folder or an sdist, and unpack it."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", work, source]
    built = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr
    (file,) = work.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(work / "site")
    return work / "site"


def test_editable_install_imports_from_anywhere(tmp_path: Path) -> None:
    try:
        distribution("specvid")
    except PackageNotFoundError:
        pytest.skip("specvid is not installed here, only on the path")
    assert _run(f"{IMPORTS}; print(specvid.__version__)", tmp_path) == distribution("specvid").version


def test_wheel_holds_every_module_and_nothing_else(wheel: Path) -> None:
    packed = {str(path.relative_to(wheel)) for path in wheel.rglob("*.py")}
    assert packed == _modules()
    assert (wheel / "specvid" / "py.typed").exists()
    assert (wheel / "specvid" / "models" / "table.json").exists()
    templates = {path.name for path in (ROOT / "pipelines/reporting/templates").iterdir()}
    assert {path.name for path in (wheel / "specvid/pipelines/reporting/templates").iterdir()} == templates


@pytest.mark.slow
def test_an_sdist_gives_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    pytest.importorskip("build")
    source = wheel.parent / "source"
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", tmp_path, source]
    built = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr
    (sdist,) = tmp_path.glob("*.tar.gz")
    again = _unpacked_wheel(sdist, tmp_path)

    def contents(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert contents(again) == contents(wheel)


def test_wheel_imports_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    where = _run(f"{IMPORTS}; print(specvid.models.__file__)", tmp_path, PYTHONPATH=str(wheel))
    assert Path(where).is_relative_to(wheel)


def test_wheel_runs_as_a_module(wheel: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "specvid", "--help"]
    env = os.environ | {"PYTHONPATH": str(wheel)}
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0
    assert "specvid train action" in result.stdout


def test_import_is_light(tmp_path: Path) -> None:
    """Nothing heavy is imported before it is used, and the models need none of the data packages."""
    heavy = "torch torchvision av albumentations faiss pyarrow lightning_fabric matplotlib"
    assert _run(f"import sys, specvid; print([m for m in '{heavy}'.split() if m in sys.modules])", tmp_path) == "[]"
    data = "av albumentations faiss pyarrow lightning_fabric cv2"
    code = f"import sys, specvid.models; print([m for m in '{data}'.split() if m in sys.modules])"
    assert _run(code, tmp_path) == "[]"
