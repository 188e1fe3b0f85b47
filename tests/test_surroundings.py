"""What lies in the working directory is neither run nor obeyed by the command line and what it imports."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_DRAWS = """
import os, sys
from specvid.__main__ import main
main()
from specvid.eval.classification import save_confusion
import numpy as np
save_confusion(np.eye(2, 3, dtype=int), ["a", "b"], sys.argv[2], title="x")
import matplotlib
print(matplotlib.rcParams["text.usetex"], matplotlib.rcParams["font.size"], os.path.exists("matplotlibrc"))
"""


def _run(code: str, folder: Path, *words: str, **environment: str) -> str:
    command = [sys.executable, "-c", f"import sys; sys.path[:] = sys.path[1:]\n{code}", *words]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", ["latex", "unknown", "bytes", "pipe"])
def test_settings_of_matplotlib_are_not_those_of_the_working_directory(kind: str, tmp_path: Path) -> None:
    settings = tmp_path / "matplotlibrc"
    if kind == "pipe":
        os.mkfifo(settings)
    else:
        texts = {"latex": b"text.usetex: True\n", "unknown": b"path.effects: x\n", "bytes": b"\xff\xfe\x00"}
        settings.write_bytes(texts[kind])
    printed = _run(_DRAWS, tmp_path, "--version", "matrix.png")
    assert printed.splitlines()[-1].split() == ["False", "10.0", "True"]
    assert (tmp_path / "matrix.png").stat().st_size > 1000


def test_settings_of_matplotlib_that_the_user_names_are_obeyed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("font.size: 7\n")
    printed = _run(_DRAWS, tmp_path, "--version", "matrix.png", MATPLOTLIBRC=str(tmp_path / "mine"))
    assert printed.splitlines()[-1].split()[1] == "7.0"


@pytest.mark.skipif(sys.platform != "linux", reason="its linker")
def test_no_compiled_library_of_the_working_directory_is_loaded(tmp_path: Path) -> None:
    """Some compiled module of Python's, under the name of NVIDIA's driver; the linker keeps a protocol."""
    some = next((Path(os.__file__).parent / "lib-dynload").glob("*.so"), None)
    if some is None:
        pytest.skip("all modules of this Python are part of its program")
    shutil.copy(some, tmp_path / "libcuda.so.1")
    code = (
        "import os, specvid.__main__\nbefore = os.getcwd()\nimport torch\n"
        "print(before == os.getcwd(), torch.ones(2).sum().item())"
    )
    printed = _run(code, tmp_path, LD_DEBUG="files", LD_DEBUG_OUTPUT=str(tmp_path / "linker"))
    assert printed.split() == ["True", "2.0"]
    said = "".join(path.read_text(errors="replace") for path in tmp_path.glob("linker.*"))
    assert "calling init" in said  # the protocol is one
    assert "calling init: libcuda.so.1" not in said and "calling init: ./libcuda.so.1" not in said


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a working directory cannot be removed")
def test_a_working_directory_that_was_removed(tmp_path: Path) -> None:
    command = 'mkdir gone && cd gone && rmdir ../gone && exec "$0" -m specvid models r3d_tiny'
    path = os.pathsep.join(sys.path[1:])
    done = subprocess.run(
        ["sh", "-c", command, sys.executable], cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True
    )
    assert done.returncode == 0 and b"r3d_tiny" in done.stdout, done.stderr
