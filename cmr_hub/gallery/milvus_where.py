"""Translate a condition on items to a Milvus filter."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from cmr_hub.errors import QueryError, shown
from cmr_hub.gallery.where import COMPARISONS, Where, column_name, comparison, literal, refuse

if TYPE_CHECKING:
    from cmr_hub.gallery.text_in_pictures import TextCondition

_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def milvus_condition(where: Where | TextCondition) -> str:
    """Return a Milvus filter that selects the same rows as the condition.

    Times are stored as text that begins with the year, so they compare as text.

    Milvus has no three-valued logic, and null columns are missing from the JSON of a row. So each
    comparison also checks that its column exists, and NOT is pushed down to the comparisons. The
    columns have no schema: '5' does not equal 5, and an unknown column is null in all rows.

    Raises:
        QueryError: the condition uses ILIKE, near, or LIKE for more than a prefix, which Milvus
            does not support.
    """
    if not isinstance(where, Where):
        raise QueryError("the text in pictures cannot be searched in Milvus")
    return _expression(where.tree, wanted=True)


def _expression(node: exp.Expr, *, wanted: bool) -> str:
    match node:
        case exp.Paren():
            return _expression(node.this, wanted=wanted)
        case exp.Not():
            return _expression(node.this, wanted=not wanted)
        case exp.And() | exp.Or():
            word = "and" if isinstance(node, exp.And) == wanted else "or"
            sides = (_expression(side, wanted=wanted) for side in (node.left, node.right))
            return f"({f' {word} '.join(sides)})"
        case exp.Is() if isinstance(node.expression, exp.Null):
            name = _name(column_name(node.this))
            return f"(not exists {name})" if wanted else f"(exists {name})"
        case _:
            return _leaf(node, wanted=wanted)


def _leaf(node: exp.Expr, *, wanted: bool) -> str:
    match node:
        case exp.In() if node.expressions:
            name = _name(column_name(node.this))
            values = ", ".join(_value(literal(value)) for value in node.expressions)
            test = f"{name} {'in' if wanted else 'not in'} [{values}]"
        case exp.Between():
            name = _name(column_name(node.this))
            low, high = (_value(literal(node.args[end])) for end in ("low", "high"))
            test = (
                f"{name} >= {low} and {name} <= {high}"
                if wanted
                else f"({name} < {low} or {name} > {high})"
            )
        case exp.Like():
            name, pattern = _name(column_name(node.this)), str(literal(node.expression))
            start = pattern.removesuffix("%")
            if start == pattern or set(start) & {"%", "_", "\\"}:
                raise QueryError(
                    f"Milvus supports LIKE only for prefixes, e.g. 'abc%', not {shown(pattern)}"
                )
            test = f"{name} like {_value(pattern)}"
            test = test if wanted else f"not ({test})"
        case exp.Column():
            name = _name(column_name(node))
            test = f"{name} == {_value(wanted)}"
        case exp.Anonymous() if str(node.this).lower() == "near":
            raise QueryError(
                "Milvus cannot filter by distance: compare latitude and longitude, e.g. "
                "latitude BETWEEN 48.1 AND 48.3 AND longitude BETWEEN 16.2 AND 16.5"
            )
        case _ if type(node) in COMPARISONS:
            column, sign, value = comparison(node)
            name = _name(column)
            test = f"{name} {sign if wanted else _OPPOSITE[sign]} {_value(value)}"
        case _:
            raise refuse(node)
    return f"((exists {name}) and ({test}))"


def _name(column: str) -> str:
    """Return the expression for a column, whose name may be any text."""
    return f"columns[{json.dumps(column)}]"


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
