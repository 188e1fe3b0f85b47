"""One verb of the command line: a short help written by hand, a dataclass of options, the function it calls."""

import contextlib
import dataclasses
import errno
import io
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_type_hints

from specvid.cli.parse_errors import sentence_of
from specvid.errors import LostProcessError, SpecvidWarning, nearest
from specvid.text import printable_path, without_controls

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_SHARED_MEMORY = ("unable to resize file </torch_", "unable to mmap", "insufficient shared memory")  # as torch says it
_NO_MEMORY = "can't allocate memory"  # as torch says it of the CPU
_TOO_LITTLE_SHARED_MEMORY = (
    "there is too little shared memory (/dev/shm) for what decoding processes hand over. Give more, e.g. "
    "`docker run --shm-size 8g`, or lower --workers; 0 needs none."
)
Defaults = Callable[[list[str]], tuple[Any, list[str]]]


@dataclasses.dataclass(frozen=True)
class Verb:
    """One verb of the command line.

    Attributes:
        name: As typed, for example ``train action``.
        help: Fits a screen, with an example.
        options: A dataclass; its fields are the flags.
        run: Gets the options and returns the exit code.
        defaults: Takes a command line, returns the options to start from and the rest of it; for flags as ``--config``.
        extra: The flags that ``defaults`` takes, and aliases, each with what ``--help-all`` says of it.
        appendix: Gives what ``--help-all`` prints at its end.
        stopped: What a signal leaves behind, and how to go on.
        flags_elsewhere: Flags that people look for here, and the verb that has them.
        hint: Gets a flag that is unknown and the value behind it, and says where it belongs; "" where it does not know.
    """

    name: str
    help: str
    options: type
    run: Callable[[Any], int]
    defaults: Defaults | None = None
    extra: Mapping[str, str] = dataclasses.field(default_factory=dict)
    appendix: Callable[[], str] | None = None
    stopped: str = "the same command starts again."
    flags_elsewhere: Mapping[str, str] = dataclasses.field(default_factory=dict)
    hint: Callable[[str, str], str] = lambda flag, value: ""

    def __call__(self, words: list[str]) -> int:
        options, _ = _split(words)
        if "--help-all" in options:
            self.print_all([word for word in options if word != "--help-all"])
            return 0
        if "--help" in options or "-h" in options:
            sys.stdout.write(self.help)
            return 0
        return self.run(self.parse(words))

    def flags(self) -> list[str]:
        """All ``--flags`` that the verb takes."""
        return [*_flags(self.options), *(flag.split()[0] for flag in self.extra), "--help", "--help-all"]

    def print_all(self, words: list[str]) -> None:
        """Print every option with its default, which is that of the recipe or config that ``words`` name."""
        default = self.defaults(words)[0] if self.defaults else None
        with contextlib.suppress(SystemExit):
            self._tyro(["--help"], default)
        lines = [f"  {flag:<24} {text}" for flag, text in self.extra.items() if text]
        if lines:
            sys.stdout.write("\n".join(["and", *lines, ""]))
        if self.appendix is not None:
            sys.stdout.write(f"\n{self.appendix()}\n")

    def parse(self, words: list[str]) -> Any:
        """The options of a command line.

        Args:
            words: The command line after the verb. After ``--`` all are names, also those that begin with a dash.

        Returns:
            An instance of ``options``.

        Raises:
            ValueError: A flag is unknown or a value does not fit.
        """
        words, names = _split(words)
        for word, following in zip(words, [*words[1:], "--"], strict=False):
            flag, _, value = word.partition("=")
            flag = flag.replace("_", "-")
            if word.startswith("--") and flag not in self.flags():
                value = value or ("" if following.startswith("--") else following)
                other = f" `specvid {self.flags_elsewhere[flag]}` has it." if flag in self.flags_elsewhere else ""
                other = other or self.hint(flag, value)
                raise ValueError(
                    f"option {flag!r} of specvid {self.name} is unknown.{other or nearest(flag, self.flags())} "
                    "--help shows the common ones, --help-all every one."
                )
        default, rest = self.defaults(words) if self.defaults else (None, words)
        stderr = io.StringIO()
        try:
            with contextlib.redirect_stderr(stderr), _wide():
                return self._tyro([*rest, *names], default)
        except SystemExit as stop:
            if not stop.code:
                raise
            files = [word for word in words if word.startswith("-") and os.path.lexists(word)]
            hint = f" A file called so is written ./{files[0]}, or after --." if files else ""
            sentence = sentence_of(stderr.getvalue(), dict(_hints(self.options)))
            sentence += self._origin(sentence, words, getattr(default, "recipe", ""))
            raise ValueError(f"{sentence}{hint} See `specvid {self.name} --help`.") from None

    def _origin(self, sentence: str, words: list[str], recipe: str) -> str:
        """Where the setting that a sentence begins with comes from, where the command line does not give it."""
        flag = "--" + sentence.split(" ")[0].replace("_", "-")
        given = {word.split("=")[0].replace("_", "-") for word in words}
        if not recipe or flag not in dict(_hints(self.options)) or not given.isdisjoint({"--config", flag}):
            return ""
        return f" That {flag} comes from recipe {recipe!r}: give {flag} of your own, or another --recipe."

    def _tyro(self, words: list[str], default: Any) -> Any:
        import tyro

        given = {} if default is None else {"default": default}
        flat = (tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes)
        return tyro.cli(self.options, args=words, prog=f"specvid {self.name}", config=flat, **given)


@contextlib.contextmanager
def ending_on_signals(stopped: str) -> Iterator[None]:
    """While the block runs, SIGINT and SIGTERM end it with one sentence, after it has cleared away.

    Args:
        stopped: What is left behind, and how to go on.

    Raises:
        Interrupted: There was a signal.
    """
    from specvid.pipelines.engine.signals import interrupting

    with interrupting(stopped):
        yield


@contextlib.contextmanager
def plain_warnings() -> Iterator[None]:
    """While the block runs, our warnings are sentences, without a line of code."""
    usual = warnings.formatwarning

    def formatted(message: Any, category: type[Warning], filename: str, lineno: int, line: str | None = None) -> str:
        if issubclass(category, SpecvidWarning):
            return f"specvid: warning: {without_controls(str(message))}\n"
        return usual(message, category, filename, lineno, line)

    warnings.formatwarning = formatted
    try:
        yield
    finally:
        warnings.formatwarning = usual


def check_environment() -> None:
    """Check what a launcher says of the processes of this job.

    Raises:
        ValueError: A variable that is no number, or does not go with the others.
    """
    from specvid.pipelines.engine import processes

    processes.check_environment(os.environ)


def take(words: list[str], flag: str) -> tuple[str | None, list[str]]:
    """Take one flag out of a command line.

    Args:
        words: The command line.
        flag: For example ``--config``; both ``--config value`` and ``--config=value`` are taken.

    Returns:
        The value (None where the flag is not there), and the command line without it.

    Raises:
        ValueError: The flag stands last, without a value.
    """
    rest, value, waiting = [], None, False
    for word in words:
        if waiting:
            value, waiting = word, False
        elif word == flag:
            waiting = True
        elif word.startswith(f"{flag}="):
            value = word.partition("=")[2]
        else:
            rest.append(word)
    if waiting:
        raise ValueError(f"{flag} needs a value.")
    return value, rest


def problem(error: BaseException) -> str | None:
    """The message for the user about an error.

    Args:
        error: Whatever a verb raised.

    Returns:
        One line; None for a fault of the program itself, which needs a traceback.
    """
    text = str(error).strip()
    if isinstance(error, ValueError):
        if text.startswith("Caught "):  # by a worker of a data loader, whose traceback is in the message
            return text.splitlines()[-1].partition(": ")[2]
        return " ".join(text.split())
    if isinstance(error, ImportError) and "pip install" in text:
        return text
    if isinstance(error, OSError) and error.errno in _FULL and error.filename is None:  # files are named
        if _passed_through(error, "multiprocessing"):  # its semaphores
            return _TOO_LITTLE_SHARED_MEMORY
        return f"what is printed cannot be written ({error.strerror})."
    if isinstance(error, PermissionError) and error.filename is not None:
        name = printable_path(os.fsdecode(error.filename))
        return f"{name!r} cannot be opened (permission denied): give this user the right to, or name another place."
    if isinstance(error, OSError | LostProcessError):
        return text
    if isinstance(error, RuntimeError) and text.startswith("DataLoader worker"):
        return f"a decoding process died ({text.split(':')[-1].strip(' .')}). Out of memory? Lower --workers."
    if isinstance(error, RuntimeError) and any(word in text for word in _SHARED_MEMORY):
        return _TOO_LITTLE_SHARED_MEMORY
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _NO_MEMORY in text):
        size = re.search(r"allocate ([\d.]+ (?:\w?iB|bytes))", text)
        much = f" ({size[1]} asked for at once)" if size else ""
        return f"there is not enough memory{much}. Take a smaller network, smaller clips, or a lower --batch-size."
    if type(error).__name__ == "OutOfMemoryError":
        return "the device is out of memory. Raise --accumulate (the same batch in more parts) or lower --batch-size."
    return None


def _passed_through(error: BaseException, package: str) -> bool:
    """Whether an error was raised in a package, or below it."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__", "").split(".")[0] == package for frame, _ in frames)


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """A command line without what stands after ``--``, and that, with it."""
    end = words.index("--") if "--" in words else len(words)
    return words[:end], words[end:] if len(words) > end + 1 else []


@contextlib.contextmanager
def _wide() -> Iterator[None]:
    """A terminal of any width for the parser: where it wraps a long value, spaces get into it."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100000"
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def _flags(options: type) -> Iterator[str]:
    for flag, hint in _hints(options):
        yield flag
        if hint is bool:
            yield f"--no-{flag.removeprefix('--')}"


def _hints(options: type) -> Iterator[tuple[str, Any]]:
    """Each flag with the type of its field."""
    hints = get_type_hints(options)
    for field in dataclasses.fields(options):
        if dataclasses.is_dataclass(hints[field.name]):
            yield from _hints(hints[field.name])
        else:
            yield f"--{field.name.rstrip('_').replace('_', '-')}", hints[field.name]  # from_: a word of Python
