"""A registry finds what was registered, and answers names that are taken or unknown."""

import pytest

from specvid.registry import Registry


def test_the_decorator_returns_what_it_registers() -> None:
    shapes: Registry[type] = Registry("shape")

    @shapes.register("square", "quad")
    class Square:
        pass

    assert shapes.find("square") is shapes.find("quad") is Square
    assert sorted(shapes) == ["quad", "square"]


def test_a_name_is_registered_once() -> None:
    shapes: Registry[type] = Registry("shape")
    shapes.register("square")(int)
    with pytest.raises(ValueError, match=r"shape 'square' is registered twice \(builtins, builtins\)"):
        shapes.register("square")(float)
    assert shapes.find("square") is int


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    shapes: Registry[type] = Registry("shape")
    shapes.register("square")(int)
    with pytest.raises(ValueError, match=r"shape 'sqare' is unknown\. Did you mean 'square'\?"):
        shapes.find("sqare")
