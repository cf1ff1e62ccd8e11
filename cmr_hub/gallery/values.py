"""Restrict columns of items to Arrow types and values that Python can represent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from cmr_hub.errors import ModelFormatError, shown

_HOW: Final = "give numbers, text, dates, or lists of them"
_DAY: Final = 86_400
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
"""First day of year 1 and last day of year 9999, in days since 1970-01-01."""
_UNITS: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def readable(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column in which Python can represent every value.

    Nanoseconds are truncated to microseconds.

    Raises:
        ModelFormatError: the type is not supported, or a date or time is out of range.
    """
    kind = _readable_type(name, column.type)
    if kind != column.type:
        try:
            column = column.cast(kind, safe=False)
        except pa.ArrowException as error:
            raise ModelFormatError(f"the column {shown(name)} cannot be read: {error}") from error
    for part in _times(column):
        _check_range(name, part)
    return column


def _readable_type(name: str, kind: pa.DataType) -> pa.DataType:  # noqa: PLR0911
    """Return the type to which a column is converted."""
    types = pa.types
    if types.is_timestamp(kind):
        try:
            pa.lib.string_to_tzinfo(kind.tz or "UTC")
        except (ValueError, LookupError, OSError, pa.ArrowException) as error:
            raise ModelFormatError(
                f"the column {shown(name)} has the time zone {shown(kind.tz)}, which does not exist"
            ) from error
        return pa.timestamp("us", kind.tz) if kind.unit == "ns" else kind
    if types.is_time64(kind):
        return pa.time64("us")
    if types.is_list(kind):
        return pa.list_(_readable_type(name, kind.value_type))
    if types.is_large_list(kind):
        return pa.large_list(_readable_type(name, kind.value_type))
    if types.is_fixed_size_list(kind):
        return pa.list_(_readable_type(name, kind.value_type), kind.list_size)
    if types.is_struct(kind):
        return pa.struct([(part.name, _readable_type(name, part.type)) for part in kind])
    if types.is_dictionary(kind):
        return _readable_type(name, kind.value_type)
    plain = (
        *(types.is_null, types.is_boolean, types.is_integer, types.is_floating, types.is_decimal),
        *(types.is_string, types.is_large_string, types.is_binary, types.is_large_binary),
        *(types.is_fixed_size_binary, types.is_date, types.is_time32),
    )
    if not any(is_one(kind) for is_one in plain):
        raise ModelFormatError(
            f"the column {shown(name)} is of type {str(kind)[:80]}, which is not supported: {_HOW}"
        )
    return kind


def _times(column: pa.ChunkedArray | pa.Array) -> Iterator[pa.ChunkedArray | pa.Array]:
    """Yield the arrays of dates and times in a column, including nested ones."""
    kind = column.type
    if pa.types.is_temporal(kind):
        yield column
    elif (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    ):
        if _has_times(kind.value_type):
            yield from _times(pc.list_flatten(column))
    elif pa.types.is_struct(kind):
        for number, part in enumerate(kind):
            if _has_times(part.type):
                yield from _times(pc.struct_field(column, number))


def _has_times(kind: pa.DataType) -> bool:
    if pa.types.is_nested(kind):
        return any(_has_times(kind.field(number).type) for number in range(kind.num_fields))
    return bool(pa.types.is_temporal(kind))


def _check_range(name: str, column: pa.ChunkedArray | pa.Array) -> None:
    kind = column.type
    if pa.types.is_date32(kind):
        numbers, a_day = column.cast(pa.int32()), 1
    elif pa.types.is_date64(kind):
        numbers, a_day = column.cast(pa.int64()), _DAY * _UNITS["ms"]
    else:
        wide = pa.int32() if pa.types.is_time32(kind) else pa.int64()
        numbers, a_day = column.cast(wide), _DAY * _UNITS[kind.unit]
    ends = pc.min_max(numbers).as_py()
    if ends["min"] is None:
        return
    first, last = _FIRST_DAY * a_day, (_LAST_DAY + 1) * a_day
    if pa.types.is_time(kind):
        first, last = 0, a_day
    elif pa.types.is_timestamp(kind) and kind.tz is not None:
        first, last = first + a_day, last - a_day  # the offset of a time zone is at most a day
    if ends["min"] < first or ends["max"] >= last:
        raise ModelFormatError(
            f"the column {shown(name)} has a date or a time out of range: dates must be in the "
            "years 1 to 9999, times within 24 hours"
        )


def common_type(types: set[type]) -> type:
    """Return the common type of values of these types; str if they have none."""
    if len(types) == 1:
        return next(iter(types))
    return float if types == {int, float} else str


def as_text(value: Any) -> str:
    """Return a value as text; integral floats have no decimal point."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
