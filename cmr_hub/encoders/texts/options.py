"""Options of an encoder, checked where they are given."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from pydantic import ValidationError, validate_call

from cmr_hub.errors import CMRError, shown

P = ParamSpec("P")
S = TypeVar("S")


Init: TypeAlias = Callable[Concatenate[S, P], None]


def checked_options(init: Init[S, P]) -> Init[S, P]:
    """Makes an `__init__` check its arguments against its own annotations.

    A wrong name or value raises CMRError that names the option and what is allowed.
    """
    validated = validate_call(init)
    allowed = [name for name in inspect.signature(init).parameters if name != "self"]

    @functools.wraps(init)
    def wrapper(self: S, /, *args: P.args, **options: P.kwargs) -> None:
        name = getattr(self, "name", type(self).__name__)
        for option in options.keys() - allowed:
            raise CMRError(
                f"{name}: no option {shown(option)}; the options are: {', '.join(allowed)}"
            )
        try:
            validated(self, *args, **options)
        except ValidationError as error:
            raise CMRError(f"{name}: {_explain(error)}") from None

    return wrapper


def _explain(error: ValidationError) -> str:
    first: Any = error.errors(include_url=False)[0]
    option = first["loc"][0] if first["loc"] else "?"
    return f"option {shown(option)}: {first['msg']} (got {shown(first['input'])})"
