"""A registry: a dict of what can be asked for by name, and a decorator that fills it."""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from specvid.errors import unknown

Entry = TypeVar("Entry")
Registered = TypeVar("Registered")


class Registry(dict[str, Entry]):
    """Functions or classes by name.

    Args:
        kind: What an entry is, for errors, e.g. ``block``.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def register(self, *names: str) -> Callable[[Registered], Registered]:
        """Decorator that enters a function or class.

        Args:
            *names: What it is found by.

        Returns:
            The decorator; it returns what it is given.

        Raises:
            ValueError: A name is taken.
        """

        def decorate(entry: Any) -> Any:
            for name in names:
                if name in self:
                    modules = ", ".join(getattr(one, "__module__", "?") for one in (self[name], entry))
                    raise ValueError(f"{self.kind} {name!r} is registered twice ({modules}); rename one of them")
                self[name] = entry
            return entry

        return decorate

    def find(self, name: str) -> Entry:
        """Look an entry up.

        Args:
            name: Its name.

        Returns:
            The entry.

        Raises:
            ValueError: The name is unknown; the message has the nearest right ones.
        """
        if name not in self:
            raise unknown(self.kind, name, self)
        return self[name]


def check_options(
    what: str, given: Mapping[str, Any], known: Mapping[str, Any], *, words: Collection[str] = ()
) -> None:
    """Check the names of options, that numbers are finite, and that fractions and what is on or off are no words.

    Args:
        what: Whose options, e.g. ``block 'snl'``.
        given: By name.
        known: All there are, with their defaults.
        words: Those that are a fraction, off or on if not given, and also take a word.

    Raises:
        ValueError: An option is unknown, one that is a fraction, True or False is a word, or a number is not finite.
    """
    for option, value in given.items():
        if option not in known:
            raise unknown(f"option of {what}", option, known)
        if isinstance(known[option], bool) and isinstance(value, str) and option not in words:
            raise ValueError(f"{option}={value!r} of {what} is not possible: it is True or False.")
        no_number = value is None or isinstance(value, (str, list, tuple, dict))
        if isinstance(known[option], float) and no_number and option not in words:
            raise ValueError(f"{option}={value!r} of {what} is not possible: it is a number.")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{option}={value!r} of {what} is not possible: it is a finite number.")
