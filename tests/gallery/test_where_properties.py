"""Conditions against a plain evaluator, and against whatever may be typed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from damage import contract, damaged
from hypothesis import given
from hypothesis import strategies as st

from cmr_hub.gallery.milvus_where import milvus_condition
from cmr_hub.gallery.where import Where

Row = dict[str, Any]
Truth = bool | None
"""None is unknown."""
Plain = tuple[str, Callable[[Row], Truth]]

WORDS = st.sampled_from(["dog", "cat", "it's", "", "a%b", "Dog", "é", "10"])
NUMBERS = st.integers(-5, 5) | st.sampled_from([-2.5, 0.5, 2.0, 1e3])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "word": st.none() | WORDS,
            "number": st.none() | st.integers(-5, 5),
            "share": st.none() | st.sampled_from([-2.5, 0.0, 0.5, 2.0]),
            "seen": st.none() | st.booleans(),
        }
    ),
    max_size=6,
)
SCHEMA = pa.schema(
    {"word": pa.string(), "number": pa.int64(), "share": pa.float64(), "seen": pa.bool_()}
)
SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}


def quoted(value: Any) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


@st.composite
def leaves(draw: st.DrawFn) -> Plain:
    kind = draw(st.sampled_from(["compare", "in", "between", "like", "null", "truth"]))
    if kind == "truth":
        return "seen", lambda row: row["seen"]
    if kind == "like":
        pattern = draw(st.sampled_from(["d%", "%o_", "_", "%", "it's", "Do%", "a%b"]))
        shape = re.compile(
            "".join({"%": ".*", "_": "."}.get(c, re.escape(c)) for c in pattern), re.DOTALL
        )
        no = draw(st.sampled_from(["", "NOT "]))
        return (
            f"word {no}LIKE {quoted(pattern)}",
            lambda row: (
                None
                if row["word"] is None
                else (shape.fullmatch(row["word"]) is not None) is (no == "")
            ),
        )
    column = draw(st.sampled_from(["word", "number", "share"]))
    values = WORDS if column == "word" else NUMBERS
    if kind == "null":
        return f"{column} IS NULL", lambda row: row[column] is None
    if kind == "in":
        among = draw(st.lists(values, min_size=1, max_size=3))
        text = ", ".join(map(quoted, among))
        return (
            f"{column} IN ({text})",
            lambda row: None if row[column] is None else row[column] in among,
        )
    if kind == "between":
        low, high = draw(values), draw(values)
        return (
            f"{column} BETWEEN {quoted(low)} AND {quoted(high)}",
            lambda row: None if row[column] is None else low <= row[column] <= high,
        )
    sign, value = draw(st.sampled_from(sorted(SIGNS))), draw(values)
    text = (
        f"{column} {sign} {quoted(value)}"
        if draw(st.booleans())
        else f"{quoted(value)} {MIRRORED[sign]} {column}"
    )
    return text, lambda row: None if row[column] is None else SIGNS[sign](row[column], value)


def negated(one: Plain) -> Plain:
    def truth(row: Row) -> Truth:
        found = one[1](row)
        return None if found is None else not found

    return f"NOT ({one[0]})", truth


def both(pair: tuple[Plain, Plain], word: str) -> Plain:
    (left, first), (right, second) = pair
    decides = word == "OR"

    def truth(row: Row) -> Truth:
        found = first(row), second(row)
        return decides if decides in found else None if None in found else not decides

    return f"({left}) {word} ({right})", truth


CONDITIONS = st.recursive(
    leaves(),
    lambda inner: (
        inner.map(negated)
        | st.tuples(inner, inner).map(lambda pair: both(pair, "AND"))
        | st.tuples(inner, inner).map(lambda pair: both(pair, "OR"))
    ),
    max_leaves=6,
)


@given(CONDITIONS, ROWS)
def test_a_condition_is_the_plain_one(condition: Plain, rows: list[Row]) -> None:
    text, truth = condition
    found = Where(text).mask(pa.Table.from_pylist(rows, schema=SCHEMA))
    assert found.tolist() == [truth(row) is True for row in rows]


TABLE = pa.table(
    {
        "word": ["dog", None],
        "number": [1, None],
        "share": [0.5, None],
        "seen": [True, None],
        "words": [["a"], None],
        "blob": [b"\xff", None],
        "nothing": pa.nulls(2),
    }
)
TOKENS = st.sampled_from(
    [
        *("word", "number", "share", "seen", "words", "blob", "nothing", "modality", '"', "'"),
        *("=", "<>", "<", ">=", "(", ")", ",", "AND", "OR", "NOT", "IN", "IS", "NULL", "LIKE"),
        *("ILIKE", "BETWEEN", "ESCAPE", "CASE", "WHEN", "CAST", "AS", "SELECT", "*", "-", "1"),
        *("1e", "²", "1e400", ".", "9" * 5000, "0x1F", "'dog'", "'%'", "'\\'", "'\ud800'", ";"),
        *("::", "[", "]", "{", "?", "$1", "@x", "--", "/*", "\0", "TRUE", "1_000", "x'ff'"),
    ]
)


@pytest.mark.filterwarnings("ignore")
@given(
    st.lists(TOKENS, max_size=12).map(" ".join)
    | damaged(b"label = 'dog' AND (number BETWEEN 1 AND 2 OR word LIKE 'x%')").map(
        lambda data: data.decode("latin-1")
    )
)
def test_whatever_is_typed(text: str) -> None:
    with contract():
        condition = Where(text)
        assert len(condition.mask(TABLE)) == 2
    with contract():
        assert milvus_condition(Where(text))
