"""Define and check the options of a query."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from cmr_hub.errors import QueryError

MAX_LETTERS: Final = 2_000
MAX_HITS: Final = 100

Show: TypeAlias = Literal["automatic", "pictures", "sentences", "both"]


@dataclass(frozen=True)
class QueryOptions:
    """A query without its picture; hashable, so that answers can be cached.

    Attributes:
        text: words for what is wanted.
        unwanted: words for what is not wanted.
        like: id of an item of the gallery to search with, in place of words and picture.
        weight: weight of the words if there is also a picture, whose weight is 1.
        count: number of results in each list.
        show: what to search for. "automatic" returns pictures for a sentence, and pictures and
            sentences for a picture.
        labels: return only items of these classes; empty for all.
        sources: return only items of these sources; empty for all.
        min_score: minimum score.
        clear: minimum that a result must stand out; only for queries of words.
        distinct: hide near duplicates of better results.
    """

    text: str = ""
    unwanted: str = ""
    like: str | None = None
    weight: float = 1.0
    count: int = 12
    show: Show = "automatic"
    labels: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    min_score: float | None = None
    clear: float | None = None
    distinct: bool = False


def cleaned(text: object) -> str:
    """Remove control characters and lone surrogates from a text of a request.

    Raises:
        QueryError: it is not a text, or it is too long.
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


def sentence(error: Exception) -> str:
    """Return the message of an error as a sentence."""
    message = str(error)
    return f"{message[:1].upper()}{message[1:].rstrip('.')}."
