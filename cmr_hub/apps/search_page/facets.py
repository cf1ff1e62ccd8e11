"""List the columns that a gallery can be filtered by, and convert filters to conditions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from cmr_hub.errors import QueryError
from cmr_hub.gallery.items import COLUMNS, INTERNAL, SCENES, TEXT, split_root
from cmr_hub.gallery.where import Where, column_name, comparison, literal, near_condition
from cmr_hub.outside import MOST_SHOWN, shortened

if TYPE_CHECKING:
    from cmr_hub.types import JSONObject

MOST_CHOICES: Final = 300
MOST_FILTERS: Final = 8
TAKEN: Final = "taken"
PLACE: Final = ("latitude", "longitude")
_FIRST: Final = ("label", "camera", "year", "month", "lens", "source", "folder")
OFFSET: Final = "taken_offset"
_NO_FILTERS: Final = (*PLACE, OFFSET, "width", "height", TEXT, SCENES)
_FEW: Final = 10

Value: TypeAlias = "str | int"
Choices: TypeAlias = Mapping[str, Sequence[Value]]


@dataclass(frozen=True)
class Facets:
    """Summary of the columns of a gallery.

    Attributes:
        columns: for each column its type, the number of items with a value, and `values` or `min`
            and `max`.
        filters: values of the columns with few distinct values, most useful column first.
        dates: first and last day of the column `taken`, or None.
        has_places: whether the columns `latitude` and `longitude` have values.
        root: common folder of all pictures, or None.
    """

    columns: JSONObject = field(default_factory=dict)
    filters: dict[str, list[Value]] = field(default_factory=dict)
    dates: tuple[str, str] | None = None
    has_places: bool = False
    root: str | None = None


def facets_of(items: pa.Table, hidden: Sequence[str] = ()) -> Facets:
    """Summarise all columns except `hidden` ones."""
    columns: JSONObject = {}
    filters: dict[str, list[Value]] = {}
    others = [name for name in items.column_names if name not in (*COLUMNS, *INTERNAL, *hidden)]
    for name in ("label", *others):
        column = items.column(name)
        facet = columns[name] = {
            "type": str(column.type),
            "count": len(column) - column.null_count,
        }
        if pa.types.is_nested(column.type) or not facet["count"]:
            continue
        counts = _counts(column)
        if counts is not None:
            facet["values"] = [{"value": value, "count": count} for value, count in counts.items()]
            if len(counts) > 1 and name not in (*_NO_FILTERS, TAKEN):
                filters[name] = sorted(counts)
        elif not pa.types.is_boolean(column.type):
            ends = pc.min_max(column).as_py()
            facet["min"], facet["max"] = plain(ends["min"]), plain(ends["max"])
    order = [*_FIRST, *filters]
    return Facets(
        columns,
        {name: filters[name] for name in sorted(filters, key=order.index)[:MOST_FILTERS]},
        _dates(items),
        all(columns.get(name, {}).get("count") for name in PLACE),
        split_root(items)[0],
    )


def _counts(column: pa.ChunkedArray) -> dict[Value, int] | None:
    """Count each value; return None for many values or other types than texts and integers."""
    kind = column.type
    if not (
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)
    ):
        return None
    filled = column.drop_null()
    distinct = pc.count_distinct(filled).as_py()
    if distinct > MOST_CHOICES or (distinct > _FEW and 2 * distinct > len(filled)):
        return None
    counts = {each["values"]: each["counts"] for each in pc.value_counts(filled).to_pylist()}
    counts.pop("", None)
    if any(isinstance(value, str) and len(value) > MOST_SHOWN for value in counts):
        return None
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))


def _dates(items: pa.Table) -> tuple[str, str] | None:
    if TAKEN not in items.column_names:
        return None
    ends = pc.min_max(items.column(TAKEN)).as_py()
    days = _day(ends["min"]), _day(ends["max"])
    return None if None in days else days  # type: ignore[return-value]


def _day(value: Any) -> str | None:
    try:
        return date.fromisoformat(str(value)[:10]).isoformat()
    except ValueError:
        return None


def plain(value: Any) -> Any:
    """Convert a value of a column to a JSON value; convert lists and objects to text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, int):
        return value
    return shortened(value.isoformat() if isinstance(value, datetime | date) else str(value))


def columns_of(item: Mapping[str, Any], hidden: Sequence[str] = ()) -> JSONObject:
    """Return the other columns of an item that have a value, as JSON."""
    excluded = (*COLUMNS, *INTERNAL, *hidden)
    return {
        name: plain(value)
        for name, value in item.items()
        if name not in excluded and value not in (None, "", [])
    }


def refuse_hidden(condition: str, hidden: Sequence[str]) -> None:
    """Raise QueryError if a condition uses a hidden column, because it would reveal the values."""
    if not (hidden and condition):
        return
    for node in Where(condition).tree.find_all(exp.Column, exp.Anonymous):
        # The only function, near, reads the place.
        names = PLACE if isinstance(node, exp.Anonymous) else (node.name,)
        for name in names:
            if name in hidden:
                raise QueryError(f"this page has no column {name}")


def condition_of(choices: Choices, first: str, last: str, other: str = "", place: str = "") -> str:
    """Combine filters into one condition.

    Args:
        choices: selected values by column.
        first, last: first and last day on which pictures were taken, or empty.
        other: another condition, or empty.
        place: latitude, longitude and distance, for example 48.2,16.4,10km, or empty.

    Raises:
        QueryError: a day or the place is invalid.
    """
    parts = [
        f"{_quoted(name)} IN ({', '.join(map(_constant, values))})"
        for name, values in choices.items()
        if values
    ]
    if first:
        parts.append(f"{TAKEN} >= '{_date(first)}'")
    if last:
        parts.append(f"{TAKEN} < '{_date(last) + timedelta(1)}'")
    if place:
        parts.append(near_condition(place))
    if other:
        parts.append(f"({other})" if parts else other)
    return " AND ".join(parts)


def filters_of(
    condition: str, filters: Choices
) -> tuple[dict[str, list[Value]], str, str, str, str]:
    """Split a condition into choices, first day, last day, the rest and a place."""
    choices: dict[str, list[Value]] = {}
    days: dict[str, date] = {}
    place = ""
    rest = []
    tree = Where(condition).tree.unnest() if condition else exp.Null()
    for part in tree.flatten() if isinstance(tree, exp.And) else [tree] if condition else []:
        with suppress(QueryError, ValueError):  # a condition that no filter has created
            if isinstance(part, exp.In) and (name := column_name(part.this)) not in choices:
                values = [literal(value) for value in part.expressions]
                if values and {*values} <= {*filters.get(name, ())}:
                    choices[name] = values
                    continue
            if isinstance(part, exp.GTE | exp.LT):
                name, sign, value = comparison(part)
                if name == TAKEN and sign not in days:
                    days[sign] = date.fromisoformat(value)
                    continue
            if isinstance(part, exp.Anonymous) and not place:
                latitude, longitude, kilometres = map(literal, part.expressions)
                candidate = f"{latitude},{longitude},{kilometres:g}km"
                near_condition(candidate)  # raises QueryError if it is invalid
                place = candidate
                continue
        rest.append(part)
    other = exp.and_(*rest, dialect="duckdb").unnest().sql("duckdb") if rest else ""
    last = days["<"] - timedelta(1) if "<" in days else ""
    return choices, str(days.get(">=", "")), str(last), other, place


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError as error:
        raise QueryError(f"{text!r} is not a date; write it as 2021-06-30") from error


def _quoted(name: str) -> str:
    return name if name.isidentifier() else exp.to_identifier(name, quoted=True).sql("duckdb")


def _constant(value: Value) -> str:
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
