"""What a person asks: words, a picture, and how the results should be narrowed."""

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
    """A query without its picture; hashable, so that answers can be kept.

    Attributes:
        text: what is wanted, in words.
        unwanted: words for what is not wanted.
        like: the id of an item of the gallery, in place of words and picture.
        weight: of the words, where there is a picture too; the picture's is 1.
        count: of results, in each list.
        show: among which vectors to search. "automatic" shows pictures to a sentence, and both to
            a picture.
        labels: only items of these classes; empty for all.
        sources: only items from these.
        min_score: the least score.
        clear: the least that a result must stand out; for words alone.
        distinct: hide what is nearly the same as a better result.
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
    """A text as it came from outside, without control characters and halves of characters.

    Raises:
        QueryError: it is not a text, or too long.
    """
    if text is None:
        return ""
    if not isinstance(text, str):
        raise QueryError("the query must be a text")
    if len(text) > MAX_LETTERS:
        raise QueryError(
            f"the text has {len(text):,} characters, and at most {MAX_LETTERS:,} can be "
            "searched with; shorten it to a sentence or two"
        )
    whole = text.encode("utf-8", "replace").decode()
    return "".join(
        " " if unicodedata.category(letter) == "Cc" else letter for letter in whole
    ).strip()


def sentence(error: Exception) -> str:
    """The message of an error as a sentence."""
    message = str(error)
    return f"{message[:1].upper()}{message[1:].rstrip('.')}."
