"""Options that several blocks have: what they may be, in the words of one error."""


def check_integer(name: str, option: str, value: object, *, least: int = 1) -> None:
    """Check an option that is a number of something.

    Args:
        name: that of the block.
        option: that of the option.
        value: its value.
        least: the smallest one that is possible.

    Raises:
        ValueError: it is no integer, or less.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{option}={value!r} of block {name!r} is not possible: it is an integer from {least} up.")


def check_kernel(name: str, kernel: object) -> None:
    """Check the size of a kernel that has a middle.

    Args:
        name: that of the block.
        kernel: positions along each axis.

    Raises:
        ValueError: it is no odd integer from 1 up.
    """
    if isinstance(kernel, bool) or not isinstance(kernel, int) or kernel < 1 or kernel % 2 == 0:
        raise ValueError(f"kernel={kernel!r} of block {name!r} is not possible: it is an odd integer from 1 up.")


def check_heads(name: str, heads: int, inner: int) -> None:
    """Check how many heads share the channels of an attention.

    Args:
        name: that of the block.
        heads: how many.
        inner: the channels.

    Raises:
        ValueError: it is no integer that divides them.
    """
    check_integer(name, "heads", heads)
    if inner % heads:
        raise ValueError(f"heads={heads} of block {name!r} is not possible: it must divide the {inner} inner channels.")


def inner_width(name: str, channels: int, reduction: int, inner: int | None) -> int:
    """The width of a bottleneck.

    Args:
        name: that of the block, for messages.
        channels: C.
        reduction: C divided by the width, which is at least 1.
        inner: the width itself; ``None`` takes the reduction.

    Returns:
        The width.

    Raises:
        ValueError: ``inner`` is no integer from 1 up.
    """
    if inner is None:
        return max(1, channels // reduction)
    check_integer(name, "inner", inner)
    return inner
