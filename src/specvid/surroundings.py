"""The working directory may be somebody else's folder: no code and no settings of libraries are taken from it.

Importing `specvid.__main__` sees to it, before anything heavy is imported, also in the processes that Python starts for
the command line, which import it anew. In Python the surroundings are those of the caller.
"""

import contextlib
import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

# Settings that a library reads from the working directory while it is imported, by their bare names. matplotlib's can
# make it run LaTeX on text that they bring, and rank before those of the user and $MATPLOTLIBRC.
_SETTINGS = {"matplotlib": "matplotlibrc", "numba": ".numba_config.yaml"}
# What loads NVIDIA's libraries. One of them (cuSPARSELt) has an empty name among the folders where the linker looks, so
# that a libcuda.so.1 of the working directory is loaded, and run.
_COMPILED = frozenset({"torch"})


def ignore_working_directory() -> None:
    """Take no settings and no compiled libraries from the working directory, in this process."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def start_no_process_there() -> None:
    """Let the processes that Python starts for this one look for no modules in the working directory.

    Where this process does, since it was started so, they do too. Python 3.10 does not read the variable.
    """
    here = {""}
    with contextlib.suppress(FileNotFoundError):  # it was removed, so nothing is found in it
        here = {"", os.path.abspath(os.curdir)}
    if not here & set(sys.path):
        os.environ.setdefault("PYTHONSAFEPATH", "1")


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the libraries above as Python does, and has them imported blind to what lies there."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _SETTINGS and fullname not in _COMPILED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader  # made for this module alone
            loader.exec_module = _Blind(fullname, loader.exec_module)
        return spec


class _Blind:
    """Imports a module within what hides the working directory from it."""

    def __init__(self, name: str, execute: Any) -> None:
        self._name, self._execute = name, execute

    def __call__(self, module: ModuleType) -> None:
        with _unseen(_SETTINGS[self._name]) if self._name in _SETTINGS else _elsewhere():
            self._execute(module)


@contextmanager
def _unseen(name: str) -> Iterator[None]:
    """A file of the working directory is not there, for whoever asks `os.path.exists` for its bare name.

    Other threads, which there are by then, keep their working directory.
    """
    exists = os.path.exists
    os.path.exists = lambda path: path != name and exists(path)
    try:
        yield
    finally:
        os.path.exists = exists


@contextmanager
def _elsewhere() -> Iterator[None]:
    """The working directory is that of Python's own modules, which are safe to import from.

    It is that of all threads: for what is imported before there are others.
    """
    try:
        before = os.getcwd()
    except FileNotFoundError:  # it was removed, so nothing is found in it
        yield
        return
    os.chdir(os.path.dirname(os.__file__))
    try:
        yield
    finally:
        os.chdir(before)
