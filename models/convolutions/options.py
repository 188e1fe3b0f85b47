"""Checks of options that several convolutions have, in the words of one error."""

from math import inf


def check_count(name: str, option: str, value: object, *, least: int = 1) -> None:
    """Check an option that counts something.

    Args:
        name: That of the convolution.
        option: That of the option.
        value: Its value.
        least: The smallest one that is possible.

    Raises:
        ValueError: It is no integer, or less.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{option}={value!r} of convolution {name!r} is not possible: it is an integer from {least}.")


def check_positive(name: str, option: str, value: object) -> None:
    """Check an option that is a number greater than 0.

    Args:
        name: That of the convolution.
        option: That of the option.
        value: Its value.

    Raises:
        ValueError: It is no number, or not greater than 0.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < inf:
        raise ValueError(f"{option}={value!r} of convolution {name!r} is not possible: it is a number greater than 0.")


def check_flag(name: str, option: str, value: object) -> None:
    """Check an option that is either on or off.

    Args:
        name: That of the convolution.
        option: That of the option.
        value: Its value.

    Raises:
        ValueError: It is neither True nor False.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{option}={value!r} of convolution {name!r} is not possible: it is True or False.")
