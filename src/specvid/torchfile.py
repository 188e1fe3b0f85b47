"""Files of ``torch.save`` that somebody else made: read without running code, in memory that their size explains."""

import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from specvid.memory import taking_at_most
from specvid.reading import require_plain

_MOST_TIMES = 4  # tensors are as large as their file; shared ones count each time
_MOST_PARTS = 100_000  # dictionaries and lists; the state of an optimiser has one for each parameter
_IN_PASSING = 2**29  # bytes that reading any file may map: stacks and heaps of threads, a library


def limited(path: Path) -> AbstractContextManager[None]:
    """A ``with`` block that cannot take much more memory than a file explains, whatever the file says.

    Args:
        path: of the file that is read within.
    """
    return taking_at_most(2 * _MOST_TIMES * path.stat().st_size + _IN_PASSING)


def load_plain(path: Path) -> Any:
    """What a torch file holds, if that is tensors and plain values, in memory that its size explains.

    Args:
        path: the file.

    Raises:
        UnpicklingError: it wants code to be run.
        ValueError: it is no such file; a tensor is sparse, nested, or without numbers.
        Exception: of any other kind, whatever is wrong with it.
    """
    require_plain(path)
    check_records(path)
    with warnings.catch_warnings(), limited(path):
        warnings.simplefilter("ignore")  # of the protocol of a pickle that is then refused
        content = torch.load(path, map_location="cpu", weights_only=True)
    check_nesting(content)
    check_kinds(content)
    return content


def check_records(path: Path) -> None:
    """Refuse a torch file whose records unpack to much more than the file, before any of them is unpacked.

    ``torch.save`` compresses nothing; a crafted file of a few MB may stand for as many GB.

    Args:
        path: the file; one that is no zip file passes.

    Raises:
        ValueError: it is such a file.
        RuntimeError: a zip file that torch cannot read.
    """
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise RuntimeError(str(error)) from error
    _check_size(unpacked, path)
    reader = torch._C.PyTorchFileReader(str(path))  # others might see other things in a crafted file
    if hasattr(reader, "get_record_size"):
        _check_size(sum(reader.get_record_size(name) for name in reader.get_all_records()), path)


def check_nesting(content: Any, inside: Callable[[Any], Any] = lambda value: value) -> None:
    """Refuse dictionaries that stand in each other so often that nobody can look into all of them.

    One dictionary may stand in another twice, that one in a third twice, and so on: a few bytes each, and twice the
    time each. It may also stand in itself.

    Args:
        content: what was read.
        inside: gives what to look into instead of a value.

    Raises:
        ValueError: there are too many.
    """
    waiting, count = [content], 0
    while waiting:
        part = inside(waiting.pop())
        if isinstance(part, Mapping | list | tuple):
            count += 1
            if count > _MOST_PARTS:
                raise ValueError(f"its dictionaries stand in each other more than {_MOST_PARTS:,} times; not read")
            waiting.extend(part.values() if isinstance(part, Mapping) else part)


def check_kinds(content: Any) -> None:
    """Refuse tensors that do not have a number for each place, which nothing here computes with.

    Args:
        content: what was read, checked by `check_nesting`.

    Raises:
        ValueError: one is on the meta device, sparse, or nested; its name is said.
    """
    waiting = [("", content)]
    while waiting:
        name, part = waiting.pop()
        if isinstance(part, Tensor):
            kind = str(part.layout).removeprefix("torch.") if part.layout != torch.strided else ""
            kind = "nested" if part.is_nested else "on the meta device, without numbers" if part.is_meta else kind
            if kind:
                raise ValueError(f"tensor {name!r} in it is {kind}; save it as a plain one (.to_dense().cpu())")
        elif isinstance(part, Mapping | list | tuple):
            inside = part.items() if isinstance(part, Mapping) else enumerate(part)
            waiting.extend((f"{name}.{key}" if name else str(key), value) for key, value in inside)


def check_tensors(tensors: Iterable[Tensor], path: Path) -> None:
    """Refuse tensors that take much more than their file: a few numbers may claim to be any number of them.

    Args:
        tensors: what was read.
        path: from which file.

    Raises:
        ValueError: they take more.
    """
    sizes = (tensor.numel() * tensor.element_size() for tensor in tensors if tensor.layout == torch.strided)
    _check_size(sum(sizes), path)


def _check_size(unpacked: int, path: Path) -> None:
    size = path.stat().st_size
    if unpacked > _MOST_TIMES * size + 2**20:
        raise ValueError(
            f"its {size / 2**20:,.1f} MiB claim to be {unpacked / 2**20:,.1f} MiB of tensors, which no file of "
            "torch.save does; not read"
        )
