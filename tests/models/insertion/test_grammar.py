"""The insertion grammar: what it reads, that it writes the same back, and what it says to mistakes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specvid.models.insertion.grammar import Insertion, Place, format_blocks, parse_blocks

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_\-]{0,6}", fullmatch=True)
option_names = st.from_regex(r"[a-z_][a-z0-9_]{0,6}", fullmatch=True)
parts = st.one_of(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True), st.integers(-9, 99).map(str))
places = st.builds(Place, st.lists(parts, min_size=1, max_size=4).map(".".join), st.none() | st.integers(1, 40))
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
values = scalars | st.lists(scalars, max_size=3) | st.lists(scalars, max_size=3).map(tuple) | st.just("t+s")
options = st.dictionaries(option_names, values, max_size=3).map(lambda found: tuple(found.items()))
insertions = st.builds(Insertion, names, places, options)


@settings(deadline=None)
@given(st.lists(insertions, max_size=3).map(tuple))
def test_what_is_written_is_read_back(blocks: tuple[Insertion, ...]) -> None:
    assert parse_blocks(format_blocks(blocks)) == blocks


def test_reads_options_places_and_commas() -> None:
    text = (
        " nl(mode=t+s, impl='li,(near', sizes=(1, 2), scale=1e-3,norm = None)@layer2:2,snl@res4 , snl-2019()@a.-1.end"
    )
    assert parse_blocks(text) == (
        Insertion(
            "nl",
            Place("layer2", 2),
            (("mode", "t+s"), ("impl", "li,(near"), ("sizes", (1, 2)), ("scale", 0.001), ("norm", None)),
        ),
        Insertion("snl", Place("res4")),
        Insertion("snl-2019", Place("a.-1.end")),
    )
    assert parse_blocks("") == parse_blocks("  ") == ()


def test_words_that_are_literals_stay_text() -> None:
    block = Insertion("nl", Place("a"), (("mode", "None"), ("impl", "True"), ("x", "st")))
    assert str(block) == "nl(mode='None', impl='True', x=st)@a"


def test_true_and_false_as_shells_write_them() -> None:
    (block,) = parse_blocks("snl(relu=true, bias=false, norm=none)@a")
    assert block.options == (("relu", True), ("bias", False), ("norm", "none"))
    assert str(Insertion("snl", Place("a"), (("mode", "true"),))) == "snl(mode='true')@a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("snl", "does not say which block goes where"),
        ("@layer3", "does not say which block goes where"),
        ("snl@", "does not say which block goes where"),
        ("snl@layer3,", "does not say which block goes where"),
        ("snl(mode=st@layer3", r"'\)' is missing"),
        ("snl(mode='st)@layer3", '"\'" is missing'),
        ("snl)@layer3", r"'\)' closes nothing"),
        ("snl(mode)@layer3", "not of the form name=value"),
        ("snl(mode=)@layer3", "not of the form name=value"),
        ("snl(mode=st, mode=t)@layer3", "'mode' of block 'snl' is given twice"),
        ("snl(mode=a b)@layer3", "neither a Python literal nor a bare word"),
        ("snl(2x=1)@layer3", "option name '2x'"),
        ("snl(x=1e999)@layer3", "not a Python literal"),
        ("2snl@layer3", "block name '2snl' is not a name"),
        ("snl@layer3..2", "place 'layer3..2' is not a module path"),
        ("snl@layer 3", "place 'layer 3' is not a module path"),
        ("snl@layer3:x", "'x' after ':'"),
        ("snl@layer3:0", "asks for 0 blocks"),
        ("snl(mode=st)x@layer3", r"do not end with '\)'"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_blocks(text)
