"""Filters on columns: ``camid != 3 and label in ["run", "walk"]``, parsed, never evaluated as code.

Python's comparison syntax, read into an Arrow expression: ``== != < <= > >=``, ``in``, ``not in``, ``is None``, ``is
not None``, ``and``, ``or``, ``not``, brackets, numbers, text in quotes, True, False; of text also ``contains(label,
"run")``, ``startswith(path, "cam3/")`` and ``endswith``. With a column of dates or times, text is a time (``recorded >
"2024-01-31"``); a duration is a number of seconds, and a decimal any number. Lists, structures and bytes go with ``is
None`` alone. A column whose name is no Python name is written ``column("its name")``. A row whose value is missing
never matches a comparison, as in SQL.
"""

import ast
from collections.abc import Callable, Mapping
from datetime import datetime, time, timedelta, timezone
from typing import Any

import numpy as np

from specvid.errors import unknown
from specvid.pipelines.embed.rows import Rows, batches

_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}

_TEXT_TESTS = {"contains": "match_substring", "startswith": "starts_with", "endswith": "ends_with"}


def matching(rows: Rows, text: str) -> np.ndarray:
    """The rows for which a filter holds.

    Args:
        rows: of a folder of embeddings.
        text: the filter.

    Returns:
        bool (N,).

    Raises:
        ValueError: the filter cannot be read, or does not fit the columns.
    """
    import pyarrow as pa

    parsed, columns = parse(text, {field.name: field.type for field in rows.schema if field.name != "embedding"})
    mask, start = np.zeros(len(rows), bool), 0
    try:
        for batch in batches(rows.parts, columns):
            table = pa.Table.from_batches([batch])
            table = table.append_column("\0row", pa.array(np.arange(start, start + len(table))))
            mask[table.filter(parsed)["\0row"].to_numpy()] = True
            start += len(table)
    except pa.ArrowException as error:
        types = ", ".join(f"{name} is {rows.schema.field(name).type}" for name in columns)
        raise ValueError(f"filter {text!r} does not fit the columns ({types}): {str(error).splitlines()[0]}") from None
    return mask


def parse(text: str, types: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """A filter as an Arrow expression.

    Args:
        text: the filter.
        types: names and Arrow types of the columns that it may use.

    Returns:
        The expression, and the columns that it uses (at least one).

    Raises:
        ValueError: it cannot be read, or uses another column.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except UnicodeEncodeError:
        raise _wrong(text, "it has half of a character in it (a lone surrogate)") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _wrong(text, getattr(error, "msg", None) or "it is too long") from None
    reader = _Parser(text, types)
    try:
        expression = reader.condition(tree)
    except RecursionError:
        raise _wrong(text, "it is too long") from None
    except OverflowError:
        raise _wrong(text, "a number in it is larger than any that a column holds") from None
    return expression, sorted(reader.used)


class _Parser:
    def __init__(self, text: str, types: Mapping[str, Any]) -> None:
        self.text, self.types = text, types
        self.used: set[str] = set()

    def condition(self, node: ast.expr) -> Any:
        import functools
        import operator

        if isinstance(node, ast.BoolOp):
            join = operator.and_ if isinstance(node.op, ast.And) else operator.or_
            return functools.reduce(join, map(self.condition, node.values))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self.condition(node.operand)
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            pairs = zip(sides[:-1], node.ops, sides[1:], strict=True)
            return functools.reduce(operator.and_, (self._compare(*pair) for pair in pairs))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _TEXT_TESTS:
            return self._test_text(node.func.id, node)
        if self._is_column(node):
            return self._column(node)
        raise _wrong(self.text, f"{ast.unparse(node)!r} is no condition")

    def _test_text(self, test: str, node: ast.Call) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        part = node.args[1] if len(node.args) == 2 and not node.keywords else None
        if not (isinstance(part, ast.Constant) and isinstance(part.value, str)):
            raise _wrong(self.text, f"{test} wants a column and text in quotes: {test}(label, 'run')")
        column, kind = self._column(node.args[0]), self._type(node.args[0])
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise _wrong(self.text, f"{ast.unparse(node.args[0])} is no text, but {kind}")
        return getattr(pc, _TEXT_TESTS[test])(column, part.value)

    def _compare(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Any:
        import pyarrow.compute as pc

        if not (self._is_column(left) or self._is_column(right)):
            raise _wrong(self.text, f"{ast.unparse(left)!r} and {ast.unparse(right)!r}: neither is a column")
        if isinstance(op, (ast.Is, ast.IsNot)):
            if not (isinstance(right, ast.Constant) and right.value is None):
                raise _wrong(self.text, "'is' goes with None only")
            self._column(left)
            null = pc.field(self._name(left)).is_null()  # as it is stored: some types go with nothing else
            return null if isinstance(op, ast.Is) else ~null
        self._refuse_bare_text(left, right)
        for side in (left, right):
            if self._is_column(side):
                self._require_values(side)
        if isinstance(op, (ast.In, ast.NotIn)):
            if not isinstance(right, (ast.List, ast.Tuple)) or not right.elts:
                raise _wrong(self.text, f"'in' wants a list, not {ast.unparse(right)!r}")
            column = self._column(left)
            among = column.isin(self._values(right.elts, self._type(left)))
            return among if isinstance(op, ast.In) else ~among & column.is_valid()
        kind = self._type(left if self._is_column(left) else right)
        a, b = (self._column(side) if self._is_column(side) else self._value(side, kind) for side in (left, right))
        if isinstance(left, ast.Constant):  # an Arrow expression must come first
            swapped = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
            return _COMPARE[swapped.get(type(op), type(op))](b, a)
        return _COMPARE[type(op)](a, b)

    def _require_values(self, node: ast.expr) -> None:
        """Refuse a column whose values nothing can be compared with."""
        import pyarrow as pa

        kind = self._type(node)
        if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            raise _wrong(self.text, f"{ast.unparse(node)} is {kind}, which goes with 'is None' and 'is not None' only")

    def _refuse_bare_text(self, left: ast.expr, right: ast.expr) -> None:
        """Refuse ``camid != door``: beside a column a name that is none is most likely text without its quotes."""
        for one, other in ((left, right), (right, left)):
            named = isinstance(other, ast.Name) and other.id in self.types
            if named and isinstance(one, ast.Name) and one.id not in self.types:
                wrong = unknown(f"filter {self.text!r}: column", one.id, self.types)
                raise ValueError(f"{wrong} If it is text, it stands in quotes: '{one.id}'.")

    def _is_column(self, node: ast.expr) -> bool:
        return isinstance(node, (ast.Name, ast.Call))

    def _column(self, node: ast.expr) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        name = self._name(node)
        self.used.add(name)
        column, kind = pc.field(name), self.types[name]
        if pa.types.is_dictionary(kind):  # what pandas writes of categories
            return column.cast(kind.value_type)
        return column.cast(pa.float64()) if pa.types.is_decimal(kind) else column

    def _type(self, node: ast.expr) -> Any:
        """The Arrow type of a column, of a dictionary that of its values."""
        import pyarrow as pa

        kind = self.types[self._name(node)]
        return kind.value_type if pa.types.is_dictionary(kind) else kind

    def _name(self, node: ast.expr) -> str:
        """The name of a column that there is."""
        if isinstance(node, ast.Name):
            name = node.id
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "column"
            and len(node.args) == 1
            and not node.keywords
            and isinstance(node.args[0], ast.Constant)
            and isinstance(node.args[0].value, str)
        ):
            name = node.args[0].value
        else:
            raise _wrong(self.text, f"{ast.unparse(node)!r} is no column")
        if name not in self.types:
            raise unknown(f"filter {self.text!r}: column", name, self.types)
        return name

    def _values(self, nodes: list[ast.expr], kind: Any) -> Any:
        """Several values; times as an Arrow array of the column's type, for `isin` converts nothing."""
        import pyarrow as pa

        values = [self._value(node, kind) for node in nodes]
        if pa.types.is_temporal(kind):
            return pa.array([value.as_py() for value in values], values[0].type).cast(kind)
        return values

    def _value(self, node: ast.expr, kind: Any) -> Any:
        import pyarrow as pa

        if isinstance(node, ast.Constant) and (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
            return self._time(node, kind)
        if isinstance(node, ast.Constant) and pa.types.is_time(kind):
            return self._time_of_day(node, kind)
        sign = 1
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            sign, node = -1, node.operand
        if not isinstance(node, ast.Constant) or not isinstance(node.value, (str, int, float)):
            raise _wrong(self.text, f"{ast.unparse(node)!r} is no number, text in quotes, True or False")
        if isinstance(node.value, (str, bool)):
            if sign < 0:
                raise _wrong(self.text, f"-{ast.unparse(node)} is no number")
            if pa.types.is_duration(kind):
                raise _wrong(self.text, f"{node.value!r} is no number of seconds, which the column's durations go with")
            return node.value
        number = sign * node.value
        return pa.scalar(timedelta(seconds=number), kind) if pa.types.is_duration(kind) else number

    def _time_of_day(self, node: ast.Constant, kind: Any) -> Any:
        import pyarrow as pa

        try:
            return pa.scalar(time.fromisoformat(str(node.value).strip()), kind)
        except ValueError:
            raise _wrong(self.text, f"{node.value!r} is no time of day, as the column is: '15:30'") from None

    def _time(self, node: ast.Constant, kind: Any) -> Any:
        """A time as people write it, to be compared with a column of times."""
        import pyarrow as pa

        zone = getattr(kind, "tz", None)
        try:
            moment = datetime.fromisoformat(str(node.value).strip().replace("Z", "+00:00"))
        except ValueError:
            raise _wrong(self.text, f"{node.value!r} is no time, as the column is: '2024-01-31 15:30'") from None
        if zone is None and moment.tzinfo is not None:
            raise _wrong(self.text, f"{node.value!r} has a time zone, the column has none: leave it out")
        if zone is not None and moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        return pa.scalar(moment, pa.timestamp("us", tz=zone))


def _wrong(text: str, why: str) -> ValueError:
    return ValueError(
        f"filter {text!r} cannot be read: {why}. Write it like camid != 3 and label in ['run', 'walk'] "
        "(== != < <= > >= in, contains startswith endswith, and or not, is None)."
    )
