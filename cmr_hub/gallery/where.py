"""Conditions on the columns of items, in SQL syntax: `label = 'dog' AND year >= 2008`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from cmr_hub.errors import QueryError, known_names, shown

if TYPE_CHECKING:
    import numpy.typing as npt

COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "==",
    exp.NEQ: "!=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_COMPUTE: dict[str, Callable[..., Any]] = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
_NUMBER = re.compile(r"(?=\.?[0-9])[0-9]{0,40}\.?[0-9]{0,40}(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_PLACE = re.compile(
    r"\s*(-?[0-9.]{1,12})\s*,\s*(-?[0-9.]{1,12})\s*,\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(km|m|mi)?\s*",
    re.ASCII,
)
_KILOMETRES = {"km": 1.0, "m": 0.001, "mi": 1.609344}
_EARTH = 6371.0088
"""Mean radius in kilometres."""
_PART_OF_DATE = re.compile(r"[0-9]{4}(-[0-9]{2})?", re.ASCII)
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ARGUMENTS = {"this", "expression", "expressions", "low", "high", "is_string", "quoted"}
_HELP = (
    "a condition compares columns with values, e.g. "
    "label = 'dog' AND (year BETWEEN 2005 AND 2010 OR folder LIKE 'holiday%')"
)


class Where:
    """A parsed and validated condition on rows.

    Columns are compared with constants by `=`, `<>`, `<`, `<=`, `>`, `>=`, `IN`, `BETWEEN`,
    `LIKE` and `IS NULL`, combined with `AND`, `OR`, `NOT` and parentheses. `near(48.2, 16.4, 10)`
    is true within 10 km of this latitude and longitude. As in SQL, a row is not selected if the
    result is unknown because a column is null.

    Args:
        text: the condition. It is never executed as SQL; only its syntax tree is evaluated.

    Raises:
        QueryError: the condition cannot be parsed, or uses other syntax.

    Example:
        >>> Where("year >= 2008").mask(pa.table({"year": [2007, 2008, None]})).tolist()
        [False, True, False]
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            parsed = sqlglot.parse(text, dialect="duckdb")
        except (SqlglotError, RecursionError, ValueError) as error:
            raise QueryError(f"cannot understand the condition {shown(text)}: {_HELP}") from error
        if len(parsed) != 1 or not isinstance(parsed[0], exp.Expr):
            raise QueryError(f"the condition {shown(text)} is not one expression: {_HELP}")
        self.tree: exp.Expr = parsed[0].transform(_with_not, copy=False)
        for node in self.tree.walk():
            # Other options, such as SYMMETRIC, may change the meaning.
            if any(value for name, value in node.args.items() if name not in _ARGUMENTS):
                raise refuse(node)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Where) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def mask(self, table: pa.Table) -> npt.NDArray[np.bool_]:
        """Return an (N,) bool mask of the rows that satisfy the condition.

        Raises:
            QueryError: a column does not exist, or a value cannot be compared with it.
        """
        try:
            result = _evaluate(self.tree, table)
        except (pa.ArrowException, OverflowError, RecursionError, ValueError) as error:
            raise QueryError(f"cannot apply the condition {shown(self.text)}: {error}") from error
        mask: npt.NDArray[np.bool_] = pc.coalesce(result, False).to_numpy()
        return mask


def near_condition(text: str) -> str:
    """Convert a place and a distance, e.g. "48.2,16.4,10km" or "…,500m" or "…,6mi".

    Raises:
        QueryError: the text has another form.
    """
    found = _PLACE.fullmatch(text)
    if found is None:
        raise QueryError(
            f"{shown(text)} is not a latitude, a longitude and a distance, e.g. 48.2,16.4,10km"
        )
    latitude, longitude, distance, unit = found.groups()
    return f"near({latitude}, {longitude}, {float(distance) * _KILOMETRES[unit or 'km']!r})"


def comparison(node: exp.Expr) -> tuple[str, str, Any]:
    """Return the column, operator and value of `column < value` or `value > column`."""
    left, right, sign = node.this, node.expression, COMPARISONS[type(node)]
    if not isinstance(left, exp.Column):
        left, right, sign = right, left, _MIRRORED.get(sign, sign)
    return column_name(left), sign, literal(right)


def column_name(node: exp.Expr) -> str:
    """Return the name of a column. Raises QueryError if the node is not a column."""
    if not isinstance(node, exp.Column):
        raise QueryError(f"{shown(node.sql())} is not the name of a column: {_HELP}")
    return str(node.name)


def literal(node: exp.Expr) -> Any:
    """Return the value of a constant, which is a str, int, float or bool."""
    match node:
        case exp.Neg():
            value = literal(node.this)
            if isinstance(value, int | float):
                return -value
        case exp.Boolean():
            return bool(node.this)
        case exp.Literal() if node.is_string:
            return str(node.this)
        case exp.Literal() if _NUMBER.fullmatch(node.this):
            return int(node.this) if node.this.isdigit() else float(node.this)
    raise QueryError(f"{shown(node.sql())} is not a plain text or number: {_HELP}")


def refuse(node: exp.Expr) -> QueryError:
    """Return the error for unsupported SQL."""
    return QueryError(f"{shown(node.sql())} is not supported in a condition: {_HELP}")


def _with_not(node: exp.Expr) -> exp.Expr:
    """Rewrite `NOT LIKE` as NOT and LIKE, as only some versions of sqlglot do."""
    if node.args.get("negate"):
        node.set("negate", None)
        return exp.Not(this=node)
    return node


def _evaluate(node: exp.Expr, table: pa.Table) -> Any:  # noqa: PLR0911
    match node:
        case exp.Paren():
            return _evaluate(node.this, table)
        case exp.And():
            return pc.and_kleene(_evaluate(node.left, table), _evaluate(node.right, table))
        case exp.Or():
            return pc.or_kleene(_evaluate(node.left, table), _evaluate(node.right, table))
        case exp.Not():
            return pc.invert(_evaluate(node.this, table))
        case exp.Is() if isinstance(node.expression, exp.Null):
            return pc.is_null(_column(table, column_name(node.this)))
        case exp.In() if node.expressions:
            name = column_name(node.this)
            each = [_compare(table, name, "==", literal(value)) for value in node.expressions]
            return reduce(pc.or_kleene, each)
        case exp.Between():
            name = column_name(node.this)
            return pc.and_kleene(
                _compare(table, name, ">=", literal(node.args["low"])),
                _compare(table, name, "<=", literal(node.args["high"])),
            )
        case exp.Like() | exp.ILike():
            return _like(table, node)
        case exp.Column():
            return pc.equal(_column(table, column_name(node)), pa.scalar(True))
        case exp.Anonymous() if str(node.this).lower() == "near":
            return _near(table, [literal(value) for value in node.expressions])
        case _ if type(node) in COMPARISONS:
            return _compare(table, *comparison(node))
    raise refuse(node)


def _like(table: pa.Table, node: exp.Like | exp.ILike) -> pa.ChunkedArray:
    column = _column(table, column_name(node.this))
    if pa.types.is_temporal(column.type) or pa.types.is_null(column.type):
        column = column.cast(pa.string())
    pattern = str(literal(node.expression))
    try:
        return pc.match_like(column, pattern, ignore_case=isinstance(node, exp.ILike))
    except pa.ArrowNotImplementedError as error:
        raise _other_type(column_name(node.this), column.type, pattern) from error


def _near(table: pa.Table, values: list[Any]) -> pa.ChunkedArray:
    """Compare the great-circle distances from a place (haversine formula)."""
    if len(values) != 3 or not all(type(value) in (int, float) for value in values):
        raise QueryError("near takes a latitude, a longitude and kilometres: near(48.2, 16.4, 10)")
    latitude, longitude, kilometres = values
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise QueryError(
            "latitudes must be between -90 and 90 degrees, longitudes between -180 and 180"
        )
    rows = [
        _column(table, name).cast(pa.float64()).to_numpy(zero_copy_only=False)
        for name in ("latitude", "longitude")
    ]
    here = np.radians([latitude, longitude])
    there = np.radians(rows)
    sines = np.sin((there - here[:, None]) / 2) ** 2
    chord = sines[0] + np.cos(here[0]) * np.cos(there[0]) * sines[1]
    distance = 2 * _EARTH * np.arcsin(np.sqrt(chord.clip(0, 1)))
    return pa.chunked_array([pa.array(distance <= kilometres, mask=np.isnan(distance))])


def _compare(table: pa.Table, name: str, sign: str, value: Any) -> Any:
    column = _column(table, name)
    if pa.types.is_null(column.type):
        return pa.chunked_array([pa.nulls(len(column), pa.bool_())])
    if pa.types.is_temporal(column.type) and _PART_OF_DATE.fullmatch(str(value)):
        value = f"{value}-01-01"[:10]
    scalar = pa.scalar(value)
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    # 2008 is cast for a text column, '2008' for a numeric column and '2008-05-01' for a date
    # column. 2008.5 is not cast for an integer column, because this would truncate it.
    try:
        if is_text or isinstance(value, str):
            scalar = scalar.cast(column.type)
        return _COMPUTE[sign](column, scalar)
    except pa.ArrowException as error:
        raise _other_type(name, column.type, value) from error


def _other_type(name: str, kind: pa.DataType, value: object) -> QueryError:
    """Return the error for a value that cannot be compared with a column."""
    values = "numbers"
    if pa.types.is_temporal(kind):
        values = "times, such as '2021-06' or '2021-06-01 12:30:00'"
    elif pa.types.is_boolean(kind):
        values = "true and false"
    elif pa.types.is_nested(kind):
        values = "lists"
    return QueryError(
        f"{shown(value)} cannot be compared with the column {shown(name)}: it has {values}"
    )


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise QueryError(
            f"there is no column {shown(name)}; there are {known_names(name, table.column_names)}"
        )
    return table.column(name)
