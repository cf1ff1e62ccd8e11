"""Define and check search requests of the page, HTTP and MCP."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from cmr_hub.errors import QueryError, shown

MAX_LETTERS: Final = 2_000
MAX_HITS: Final = 500

Target: TypeAlias = Literal["image", "text", "both"]


def cleaned(text: object) -> str:
    """Remove control characters and lone surrogates from a text of a request.

    Raises:
        QueryError: the value is not a text, or it is too long.
    """
    if text is None:
        return ""
    if not isinstance(text, str):
        raise QueryError("the query must be a text")
    if len(text) > MAX_LETTERS:
        raise QueryError(
            f"the text has {len(text):,} characters, and a query may have at most "
            f"{MAX_LETTERS:,}; shorten it to a sentence or two"
        )
    valid = text.encode("utf-8", "replace").decode()
    return "".join(
        " " if unicodedata.category(letter) == "Cc" else letter for letter in valid
    ).strip()


_Text: TypeAlias = Annotated[str, BeforeValidator(cleaned)]
_Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]
# Programs send an empty text or null for omitted values.
_OrNone: Final = BeforeValidator(lambda value: None if value == "" else value)


class QueryOptions(BaseModel):
    """A search request. It is hashable, so that answers can be cached.

    Programs see the descriptions. Error messages quote them up to the semicolon.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: _Text = Field(
        default="", description="a text; what to search for, e.g. two red buses on a street"
    )
    image: Annotated[str | None, _OrNone] = Field(
        default=None, description="a data: URL or base64; a picture to search with"
    )
    without: _Text = Field(default="", description="a text; what results should not show")
    where: _Text = Field(
        default="", description="a condition on the columns; e.g. year >= 2020 AND label = 'dog'"
    )
    target: Annotated[Target | None, _OrNone] = Field(
        default=None,
        description="image, text or both; what to find. Default: pictures for a text, and both "
        "for a picture",
    )
    offset: int = Field(
        default=0, ge=0, le=1_000_000, description="a whole number from 0; results to skip"
    )
    count: int = Field(
        default=10,
        ge=1,
        le=MAX_HITS,
        description=f"a whole number from 1 to {MAX_HITS}; results in each list",
    )
    min_score: Annotated[_Number | None, _OrNone] = Field(
        default=None, ge=-1, le=1, description="a number from -1 to 1; minimum cosine similarity"
    )
    clear: Annotated[_Number | None, _OrNone] = Field(
        default=None,
        ge=0,
        le=100,
        description="a number from 0, e.g. 2.5; minimum z-score of results, for texts only",
    )
    distinct: bool = Field(default=False, description="true or false; hide near duplicates")
    like: _Text = Field(default="", description="a text; id of an item, to find similar items")
    weight: _Number = Field(
        default=1.0,
        ge=0,
        le=3,
        description="a number from 0 to 3; weight of the text in a query with a picture",
    )

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Validate a request.

        Raises:
            QueryError: a value is invalid, or a parameter does not exist.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0])
            if first["type"] == "extra_forbidden":
                raise no_parameter(name, cls.model_fields) from None
            expected = (cls.model_fields[name].description or "").partition(";")[0]
            raise QueryError(f"{name} must be {expected}, not {shown(first['input'])}") from None


def no_parameter(name: str, known: Iterable[str]) -> QueryError:
    """Return the error for an unknown parameter."""
    others = ", ".join(known)
    which = f"use {others}" if others else "this route has none"
    return QueryError(f"there is no parameter {shown(name)}; {which}")


def sentence(error: Exception) -> str:
    """Return the message of an error as a sentence."""
    message = str(error)
    return f"{message[:1].upper()}{message[1:].rstrip('.')}."
