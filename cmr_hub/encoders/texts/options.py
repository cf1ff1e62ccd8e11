"""Validation of the options of encoders."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from pydantic import ValidationError, validate_call

from cmr_hub.errors import CMRError, known_names, shown

P = ParamSpec("P")
S = TypeVar("S")
Init: TypeAlias = Callable[Concatenate[S, P], None]


def checked_options(init: Init[S, P]) -> Init[S, P]:
    """Make an `__init__` validate its arguments against its annotations.

    A wrong name or value raises a CMRError that names the option and the allowed values.
    """
    validated = validate_call(init)
    allowed = [name for name in inspect.signature(init).parameters if name != "self"]

    @functools.wraps(init)
    def wrapper(self: S, /, *args: P.args, **options: P.kwargs) -> None:
        name = getattr(self, "name", type(self).__name__)
        for option in options.keys() - allowed:
            raise CMRError(
                f"{name}: no option {shown(option)}; the options are: "
                f"{known_names(option, allowed)}"
            )
        try:
            validated(self, *args, **options)
        except ValidationError as error:
            first: Any = error.errors(include_url=False)[0]
            option = first["loc"][0] if first["loc"] else "?"
            raise CMRError(
                f"{name}: option {shown(option)}: {first['msg']} (got {shown(first['input'])})"
            ) from None

    return wrapper
