"""The command line starts itself once more, as the same process, with glibc's settings for large pages."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import specvid
from specvid import large_pages

available = pytest.mark.skipif(not large_pages._available(), reason="no glibc and kernel with large pages")
_RUNPY = "import runpy, sys; sys.argv[:] = 'specvid', 'embed', 'x'; runpy.run_module('specvid', run_name='__main__')"
SETTINGS = "glibc.malloc.hugetlb=1:glibc.malloc.trim_threshold=8589934592:glibc.malloc.mmap_threshold=33554432"


@pytest.fixture
def starts(tmp_path: Path):
    """Runs a command, and says of each start of Python the process's number and the variable."""
    log = tmp_path / "starts"
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        f"with open({str(log)!r}, 'a') as file:\n"
        "    print(os.getpid(), os.environ.get('GLIBC_TUNABLES'), file=file)\n"
    )

    def run(*command: str, given: bytes = b"", **environment: str):
        log.unlink(missing_ok=True)
        own = {name: value for name, value in os.environ.items() if name != large_pages.VARIABLE}
        path = os.pathsep.join([str(tmp_path), *sys.path[1:]])
        own |= {"PYTHONPATH": path, **environment}
        done = subprocess.run(
            [sys.executable, *command], env=own, input=given, capture_output=True, timeout=120, cwd=tmp_path
        )
        return done, [line.split(" ", 1) for line in log.read_text().splitlines()]

    return run


@available
def test_a_verb_that_computes_starts_anew_as_the_same_process(starts) -> None:
    done, ((first, before), (second, after)) = starts("-X", "dev", "-m", "specvid", "embed", "x", "--model", "r3d_tiny")
    assert first == second and (before, after) == ("None", SETTINGS)
    assert done.returncode == 2 and done.stderr.decode().count("specvid: out is not given") == 1


@available
def test_what_is_piped_in_arrives(starts, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (16, 40, 40, 3), dtype=np.uint8)
    specvid.create_model("r3d_tiny", num_classes=2).save_pretrained(tmp_path / "model")
    (tmp_path / "labels").write_text("run\nwalk\n")
    command = "-m specvid predict --stdin 40x40@8 --model model --labels labels --device cpu --window sliding"
    done, found = starts(*command.split(), given=frames.tobytes())
    assert done.returncode == 0, done.stderr
    assert len({number for number, _ in found[:2]}) == 1 and b"walk" in done.stdout


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        (("-m", "specvid", "--version"), {}),
        (("-m", "specvid", "models", "r3d_tiny"), {}),
        (("-m", "specvid", "train", "action", "--help"), {}),
        (("-m", "specvid", "embed", "x"), {"GLIBC_TUNABLES": ""}),
        (("-m", "specvid", "embed", "x"), {"GLIBC_TUNABLES": "glibc.malloc.arena_max=1"}),
        (("-c", _RUNPY), {}),
        (("-c", "import sys; sys.argv[1:] = ['embed', 'x']; from specvid.__main__ import main; main()"), {}),
    ],
)
def test_others_do_not(starts, command: tuple[str, ...], environment: dict[str, str]) -> None:
    _, found = starts(*command, **environment)
    assert [value for _, value in found] == [environment.get("GLIBC_TUNABLES", "None")]


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        ("-m specvid", True),
        ("-u -X dev -W ignore -um specvid", True),
        ("/usr/bin/specvid", True),
        ("src/specvid/__main__.py", True),
        ("-mspecvid", False),
        ("-m memray run -m specvid", False),
        ("/usr/bin/coverage run -m specvid", False),
        ("runner.py -m specvid", False),
        ("-c import_specvid specvid", False),
        ("-m pdb -m specvid", False),
        ("", False),
    ],
)
def test_who_started_it(monkeypatch, before: str, wanted: bool) -> None:
    monkeypatch.setattr(large_pages, "_is_watched", lambda: False)
    monkeypatch.setattr(sys, "orig_argv", ["python", *before.split(), "embed", "x"])
    assert large_pages._wanted(["embed", "x"]) is wanted
    assert not large_pages._wanted(["embed", "y"])


@available
def test_something_that_takes_the_variable_away_is_asked_once(starts, tmp_path: Path) -> None:
    with (tmp_path / "sitecustomize.py").open("a") as file:
        file.write(f"os.environ.pop({large_pages.VARIABLE!r}, None)\n")
    done, found = starts("-m", "specvid", "embed", "x", "--model", "r3d_tiny")
    assert done.returncode == 2 and len(found) == 2


@pytest.mark.parametrize(
    ("libc", "mode", "right"),
    [
        ("glibc 2.36", "always [madvise] never", True),
        ("glibc 2.35", "[always] madvise never", True),
        ("glibc 2.34", "[always] madvise never", False),
        ("glibc 2.36", "always madvise [never]", False),
        ("musl 1.2", "[always] madvise never", False),
        (None, "[always] madvise never", False),
        ("glibc 2.36", None, False),
    ],
)
def test_where_there_are_such_pages(
    monkeypatch, tmp_path: Path, libc: str | None, mode: str | None, right: bool
) -> None:
    monkeypatch.setattr(large_pages, "_MODE", tmp_path / "enabled")
    if mode:
        (tmp_path / "enabled").write_text(mode + "\n")
    monkeypatch.setattr(os, "confstr", lambda name: libc, raising=False)
    assert large_pages._available() is right


def test_an_interpreter_that_is_gone_goes_on(monkeypatch) -> None:
    monkeypatch.delenv(large_pages.VARIABLE, raising=False)
    execve = os.execve
    monkeypatch.setattr(sys, "argv", ["specvid", "embed"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "specvid", "embed"])
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    monkeypatch.setattr(large_pages, "_available", lambda: True)
    monkeypatch.setattr(large_pages, "_is_watched", lambda: False)
    tried = []
    monkeypatch.setattr(os, "execve", lambda *given: tried.append(given) or execve(*given))
    large_pages.restart_with_large_pages()
    assert large_pages.VARIABLE not in os.environ
    assert [given[:2] for given in tried] == [("/nowhere/python", ["python", "specvid", "embed"])]
