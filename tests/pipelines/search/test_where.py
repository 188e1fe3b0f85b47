"""Filters on columns: what they mean, and that nothing in them is ever run."""

import ast
from datetime import datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from synthetic_embeddings import write_embeddings

from specvid.pipelines.embed.folder import Folder
from specvid.pipelines.embed.rows import Rows
from specvid.pipelines.search.where import matching, parse

COLUMNS = {"camid": [1, 2, 3, None], "label": ["run", "walk", None, "it's"], "odd name": [1.5, -2.0, 0.0, 7.0]}
COLUMNS["good"] = [True, False, True, None]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    folder = tmp_path_factory.mktemp("emb")
    write_embeddings(folder, [[1.0, 0.0]] * 4, columns=COLUMNS, shard_size=3)
    return Rows(Folder(folder))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("camid != 3", [0, 1]),  # a missing value never matches, as in SQL
        ("camid == 3 or label == 'run'", [0, 2]),
        ("not camid > 1", [0]),
        ("1 < camid <= 3", [1, 2]),
        ("2 <= camid", [1, 2]),
        ("label in ['run', 'walk']", [0, 1]),
        ("label not in ('run',)", [1, 3]),
        ("camid is None", [3]),
        ("label is not None and camid is not None", [0, 1]),
        ("column('odd name') < -1", [1]),
        ("-1.0 < column('odd name') and (camid == 1 or camid is None)", [0, 3]),
        ('label == "it\'s"', [3]),
        ("good", [0, 2]),
        ("good == False", [1]),
        ("first_frame == 0 and end_s > 0.5", [0, 1, 2, 3]),
    ],
)
def test_a_filter_chooses_rows(rows: Rows, text: str, expected: list[int]) -> None:
    assert matching(rows, text).nonzero()[0].tolist() == expected


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("camdi == 3", r"column 'camdi' is unknown. Did you mean 'camid'\?"),
        ("camid != door", r"column 'door' is unknown\..* If it is text, it stands in quotes: 'door'\."),
        ("door == camid", r"If it is text, it stands in quotes: 'door'\."),
        ("camid = 3", "cannot be read"),
        ("label == '\ud800'", "half of a character"),
        ("camid == '3'", "does not fit the columns .camid is int64"),
        ("camid ==", "cannot be read"),
        ("", "cannot be read"),
        ("3 == 3", "neither is a column"),
        ("camid", "does not fit"),
        ("camid in camid", "wants a list"),
        ("camid is 3", "None only"),
        ("camid == 1 + 1", "no number"),
        ("label == -'x'", "cannot be read|no number"),
        ("__import__('os').system('false')", "no condition|is no column"),
        ("camid.__class__ == 1", "neither is a column"),
        ("(lambda: camid)() == 1", "no column"),
        ("column(camid) == 1", "no column"),
        ("embedding is None", "'embedding' is unknown"),
        ("not " * 100_000 + "camid == 1", "cannot be read"),
    ],
)
def test_anything_else_is_refused_in_words(rows: Rows, text: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        matching(rows, text)


def test_nothing_is_evaluated(monkeypatch) -> None:
    """The text is parsed to a tree; the tree becomes an Arrow expression, and only of the columns given."""
    import builtins

    for name in ("eval", "exec"):
        monkeypatch.setattr(builtins, name, lambda *a: pytest.fail("evaluated"))
    expression, columns = parse("camid != 3 and label == 'x'", {"camid": pa.int64(), "label": pa.string()})
    assert columns == ["camid", "label"] and "camid" in str(expression)
    assert isinstance(ast.parse("camid != 3", mode="eval"), ast.Expression)


def test_times_and_decimals_are_not_in_the_way(tmp_path: Path) -> None:
    write_embeddings(tmp_path, [[1.0, 0.0]], columns={"when": pa.array([3], pa.timestamp("s"))})
    assert pq.read_table(tmp_path / "embeddings").num_rows == 1
    assert matching(Rows(Folder(tmp_path)), "when is not None").tolist() == [True]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("recorded > '2024-01-01'", [0]),
        ("'2024-01-01' > recorded", [1]),
        ("recorded == '2024-05-01 10:00'", [0]),
        ("recorded in ['2023-05-01T10:00:00', '1999-01-01']", [1]),
        ("day >= '2024-05-01'", [0]),
        ("day in ['2023-05-01']", [1]),
        ("zoned > '2024-05-01T11:00+02:00'", [0]),
        ("zoned == '2024-05-01T10:00Z'", [0]),
        ("contains(label, 'al')", [1]),
        ("startswith(label, 'r') and not contains(label, 'x')", [0]),
        ("endswith(column('label'), 'k')", [1]),
    ],
)
def test_times_and_text(tmp_path: Path, text: str, expected: list[int]) -> None:
    """As a table in CSV brings them; a day is a time too."""
    times = [datetime(2024, 5, 1, 10), datetime(2023, 5, 1, 10), None]
    columns = {
        "recorded": pa.array(times, pa.timestamp("s")),
        "zoned": pa.array(times, pa.timestamp("ms", tz="UTC")),
        "day": pa.array([time and time.date() for time in times], pa.date32()),
        "label": ["run", "walk", None],
    }
    write_embeddings(tmp_path, [[1.0, 0.0]] * 3, columns=columns)
    assert matching(Rows(Folder(tmp_path)), text).nonzero()[0].tolist() == expected
    for wrong, match in (
        ("recorded > 'May'", "no time"),
        ("recorded > 3", "no time"),
        ("recorded > '2024-01-01T00:00Z'", "time zone"),
        ("contains(day, '2024')", "no text, but date32"),
        ("contains(label)", "wants a column and text"),
        ("contains('a', 'b')", "no column"),
    ):
        with pytest.raises(ValueError, match=match):
            matching(Rows(Folder(tmp_path)), wrong)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Columns of the types that tables bring along."""
    columns = {
        "kind": pa.array(["a", "b", None]).dictionary_encode(),
        "price": pa.array([Decimal("1.50"), Decimal("2.50"), None], pa.decimal128(10, 2)),
        "at": pa.array([time(9), time(15, 30), None]),
        "took": pa.array([timedelta(seconds=1), timedelta(minutes=2), None]),
        "tags": [["x"], [], None],
        "raw": [b"x", b"y", None],
    }
    folder = tmp_path_factory.mktemp("odd")
    write_embeddings(folder, [[1.0, 0.0]] * 3, columns=columns)
    return Rows(Folder(folder))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kind == 'b'", [1]),
        ("kind in ['a', 'c']", [0]),
        ("contains(kind, 'b')", [1]),
        ("kind is None", [2]),
        ("price > 2", [1]),
        ("price in [1.5, 3]", [0]),
        ("at >= '15:30'", [1]),
        ("took > 60", [1]),
        ("took <= 1.5", [0]),
        ("tags is not None and raw is not None", [0, 1]),
    ],
)
def test_columns_of_any_type(odd: Rows, text: str, expected: list[int]) -> None:
    assert matching(odd, text).nonzero()[0].tolist() == expected


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("at > 'noon'", "'noon' is no time of day, as the column is: '15:30'"),
        ("took > 'long'", "'long' is no number of seconds"),
        ("tags == 'x'", "tags is list<.*goes with 'is None'"),
        ("raw == 'x'", "raw is binary, which goes with 'is None'"),
        ("raw in ['x']", "raw is binary"),
    ],
)
def test_what_a_type_does_not_go_with_is_said(odd: Rows, text: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        matching(odd, text)
