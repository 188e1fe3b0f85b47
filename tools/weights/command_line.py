"""The command line that all converters of weights share: IN and OUT, one line for an error, exit code 2."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from specvid.tools.program import Program


def check_paths(source: str | Path, out: str | Path) -> tuple[Path, Path]:
    """Check what a converter is to read and to write.

    Args:
        source: must be a file.
        out: must end with ``.safetensors``, and not exist.

    Returns:
        Both as paths.

    Raises:
        ValueError: one of them is not as it must be.
    """
    source, out = Path(source), Path(out)
    if not source.is_file():
        raise ValueError(f"{str(source)!r}: there is no such file")
    if out.suffix != ".safetensors":
        raise ValueError(f"{str(out)!r}: what is written are safetensors; give a name that ends with .safetensors")
    if out.exists():
        raise ValueError(f"{str(out)!r} is there already; remove it, or give another name")
    return source, out


def command_line(
    name: str,
    about: str | None,
    source: str,
    convert: Callable[..., object],
    words: Sequence[str] | None,
    *,
    with_key: bool = False,
) -> int:
    """Run a converter from the command line, and print what it returns.

    Args:
        name: of its module in ``specvid.tools.weights``.
        about: what it does, for ``--help``.
        source: what IN is, for ``--help``.
        convert: called with IN and OUT, and with ``key``.
        words: the command line; that of the process if None.
        with_key: whether there is the option ``--key``.

    Returns:
        The exit code.
    """
    parser = Program(f"weights.{name}", about)
    parser.add_argument("source", metavar="IN", help=source)
    parser.add_argument("out", metavar="OUT", help="the .safetensors to write")
    if with_key:
        parser.add_argument("--key", default="", help="which network of IN, e.g. state_dict_ema; found if not given")
    options = parser.parse_args(words)
    try:
        key = {"key": options.key} if with_key else {}
        print(f"{options.out}: {convert(options.source, options.out, **key)}")
    except (ValueError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    return 0
