"""Unpicklers that never run code from a file.

A pickle may name any function of any module to be called; these unpicklers look the name up in a short list instead.

`numpy_unpickler` allows arrays and plain values, and refuses a file that names anything else. `inert_unpickler` also
allows tensors, and puts an `Inert` object in the place of everything else, so that what is known can still be read.

What is allowed can be called and nothing more: numpy's own types would let a file change them for the whole process
(the byte order of int32, the defaults of a function). Arrays are built here, from bytes whose length is checked.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np
import torch

Names = Mapping[tuple[str, str], Any]
UNSOUND = (
    *(pickle.UnpicklingError, EOFError, RuntimeError, TypeError, AttributeError, LookupError, ValueError),
    *(OverflowError, MemoryError, AssertionError),
)
"""All that a damaged or hostile file may make an unpickler raise."""
_NUMBERS = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|c8|c16|S\d+|U\d+)|bool|u?int(8|16|32|64)|float(16|32|64)")


class Inert:
    """Stands for an object of a class that is not known: takes whatever is done to it, does nothing.

    Attributes:
        origin: module and name of that class.
        state: what it was to be filled with.
    """

    origin = ""
    state: Any = None

    def __new__(cls, *args: Any, **options: Any) -> Inert:
        return object.__new__(cls)

    def __init__(self, *args: Any, **options: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def _ignore(self, *args: Any, **options: Any) -> Inert:
        return self

    __call__ = append = extend = add = update = __setitem__ = _ignore


class _Callable:
    """A function that a file may call, and do nothing else with."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it changes a function")


class _Dtype:
    """A type of numbers or of text, as numpy writes it: its name, then its byte order."""

    def __init__(self, name: Any, *_: Any) -> None:
        if not isinstance(name, str) or not _NUMBERS.fullmatch(name):
            kind = "Python objects" if name in ("O", "O8", "object") else repr(name)
            raise pickle.UnpicklingError(f"an array of {kind} is no array of numbers")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: Any) -> None:
        if state[1] not in ("<", ">", "=", "|"):
            raise pickle.UnpicklingError(f"byte order {state[1]!r} is unknown")
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array(np.ndarray):
    """An array that is filled once, with bytes of the right length."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, by_columns, raw = state
        raw = raw.encode("latin1") if isinstance(raw, str) else raw  # Python 2 had no other bytes
        if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes):
            raise pickle.UnpicklingError("an array of Python objects is no array of numbers")
        checked: Any = (1, tuple(map(int, shape)), dtype.dtype, bool(by_columns), raw)
        super().__setstate__(checked)


_NDARRAY = object()  # stands for the class, which is never called


def _reconstruct(*_: Any) -> np.ndarray:
    return _Array((0,), np.int8)


def _frombuffer(raw: bytes | bytearray, dtype: _Dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    return np.frombuffer(bytes(raw), dtype.dtype).reshape(shape, order="F" if order == "F" else "C").copy()


def _scalar(dtype: _Dtype, raw: bytes | str) -> np.generic:
    raw = raw.encode("latin1") if isinstance(raw, str) else raw
    (value,) = np.frombuffer(raw, dtype.dtype)
    return value


def _bytearray(content: Any = b"", *encoding: str) -> bytearray:
    """A bytearray of bytes or text; one of a given length, which would take memory that the file does not fill, is not
    needed for numbers.
    """
    if not isinstance(content, (bytes, str)):
        raise pickle.UnpicklingError(f"a bytearray of {type(content).__name__} is not needed for numbers")
    return bytearray(_encode(content, *encoding) if isinstance(content, str) else content)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """How pickles of protocol 2 write bytes. Other codecs, which Python would import, are refused."""
    if encoding not in ("latin1", "utf-8", "ascii"):
        raise pickle.UnpicklingError(f"codec {encoding!r} is not needed for numbers")
    return text.encode(encoding)


def _numpy_names() -> dict[tuple[str, str], Any]:
    names: dict[tuple[str, str], Any] = {("numpy", "ndarray"): _NDARRAY, ("numpy", "dtype"): _Callable(_Dtype)}
    for core in ("numpy.core", "numpy._core"):
        names[f"{core}.multiarray", "_reconstruct"] = _Callable(_reconstruct)
        names[f"{core}.multiarray", "scalar"] = _Callable(_scalar)
        names[f"{core}.numeric", "_frombuffer"] = _Callable(_frombuffer)
    return names | {("_codecs", "encode"): _Callable(_encode)}


def _torch_names() -> dict[tuple[str, str], Any]:
    names: dict[tuple[str, str], Any] = {
        ("torch", name): value for name, value in vars(torch).items() if isinstance(value, torch.dtype)
    }
    for rebuild in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter"):
        names["torch._utils", rebuild] = _Callable(getattr(torch._utils, rebuild))
    return names | {("torch", "Size"): _Callable(torch.Size), ("torch", "device"): _Callable(torch.device)}


_PLAIN: Names = {
    ("collections", "OrderedDict"): _Callable(OrderedDict),
    **{
        (module, kind.__name__): _Callable(kind)
        for module in ("builtins", "__builtin__")
        for kind in (set, frozenset, complex)
    },
    **{(module, "bytearray"): _Callable(_bytearray) for module in ("builtins", "__builtin__")},
}


def numpy_unpickler(file: BinaryIO) -> pickle.Unpickler:
    """An unpickler of arrays, numbers, text and containers of them; a file that names more is an UnpicklingError.

    Args:
        file: the pickle.
    """
    allowed = _numpy_names() | {("builtins", "bytearray"): _Callable(_bytearray)}

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) not in allowed:
                raise pickle.UnpicklingError(f"it holds more than arrays and plain values: {module}.{name}")
            return allowed[module, name]

    return Unpickler(file)


def inert_unpickler(unknown: set[str]) -> type[pickle.Unpickler]:
    """An unpickler class for tensors, arrays and plain values; what else a file names becomes ``Inert``.

    Args:
        unknown: a set to which the names of such classes and functions are added.
    """
    allowed = {**_PLAIN, **_numpy_names(), **_torch_names()}

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) in allowed:
                return allowed[module, name]
            unknown.add(f"{module}.{name}")
            return type(name, (Inert,), {"origin": f"{module}.{name}"})

    return Unpickler


def as_module(unpickler: Callable[..., pickle.Unpickler]) -> Any:
    """What ``torch.load`` takes as ``pickle_module``.

    Args:
        unpickler: the class of its unpickler.
    """

    class Module:
        Unpickler = unpickler

        @staticmethod
        def load(file: BinaryIO, **options: Any) -> Any:
            return unpickler(file, **options).load()

    return Module
