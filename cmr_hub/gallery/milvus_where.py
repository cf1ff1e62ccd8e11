"""A condition on items in the words of Milvus."""

from __future__ import annotations

import json
from typing import Any

from sqlglot import exp

from cmr_hub.errors import QueryError, shown
from cmr_hub.gallery.where import COMPARISONS, Where, column_name, comparison, literal, refuse

_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def milvus_condition(where: Where) -> str:
    """The boolean expression of Milvus that is true for the rows that pass.

    Milvus knows no unknown: a column that is null is not there. So each comparison asks for its
    column first, and NOT is moved inwards to the comparisons. Nor does it know the types of columns
    and which there are: '5' is not 5, and a column of no row is null in all.

    Raises:
        QueryError: it holds what Milvus cannot do: ILIKE, or a LIKE that is more than a beginning.
    """
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
                    f"in Milvus LIKE takes a beginning, as 'abc%', not {shown(pattern)}"
                )
            test = f"{name} like {_value(pattern)}"
            test = test if wanted else f"not ({test})"
        case exp.Column():
            name = _name(column_name(node))
            test = f"{name} == {_value(wanted)}"
        case _ if type(node) in COMPARISONS:
            column, sign, value = comparison(node)
            name = _name(column)
            test = f"{name} {sign if wanted else _OPPOSITE[sign]} {_value(value)}"
        case _:
            raise refuse(node)
    return f"((exists {name}) and ({test}))"


def _name(column: str) -> str:
    """A column as a key of the row's JSON, which any text may be."""
    return f"columns[{json.dumps(column)}]"


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
