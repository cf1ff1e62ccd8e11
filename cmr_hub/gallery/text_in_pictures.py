"""Search the text in pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cmr_hub.encoders.texts.tokens import UNSPACED_SCRIPTS, unique, whole_words, words
from cmr_hub.errors import QueryError
from cmr_hub.gallery.items import TEXT
from cmr_hub.gallery.query import Mix, Query, split_phrases

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.gallery.where import Where
    from cmr_hub.types import IntArray

_MOST_WORDS: Final = 16
_EXCERPT: Final = 30
"""Number of characters before and after the first match in an excerpt."""
_STOP_WORDS: Final = frozenset(
    {
        *("an", "the", "this", "that", "these", "those", "some", "any", "of", "on", "in", "at"),
        *("to", "by", "for", "from", "with", "without", "into", "over", "under", "near", "and"),
        *("or", "not", "no", "is", "are", "was", "were", "be", "been", "being", "has", "have"),
        *("had", "do", "does", "it", "its", "he", "she", "they", "them", "his", "her", "their"),
        *("my", "your", "our", "we", "you", "who", "which", "where", "there", "here", "as"),
        *("one", "two"),
    }
)
"""Words that are on many signs and do not describe a picture."""
_LETTER: Final = r"\pL\pM\pN"
_UNSPACED: Final = "".join(rf"\p{{{name}}}" for name in UNSPACED_SCRIPTS)
_START: Final = rf"(?:^|[^{_LETTER}]|[{_UNSPACED}])"
_END: Final = rf"(?:$|[^{_LETTER}]|[{_UNSPACED}])"


@dataclass(frozen=True)
class TextQuery:
    """Words and phrases to search for in the text in pictures.

    Attributes:
        words: words that raise the rank of a picture.
        phrases: phrases that a picture must have, from `text:"gate 12"`. Case and the characters
            between words are ignored.
    """

    words: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()

    @classmethod
    def of(cls, query: Query) -> TextQuery:
        """Extract the words and phrases of the texts of a query, except unwanted texts.

        Raises:
            QueryError: a phrase has no word.
        """
        parts = [split_phrases(text) for text in _wanted(query)]
        found = unique(word for rest, _ in parts for word in words(rest))
        phrases = unique(phrase for _, every in parts for phrase in every)
        for phrase in phrases:
            if not whole_words(phrase):
                raise QueryError(f'text:"{phrase}" has no word to search for')
        return cls(
            tuple(word for word in found if not _is_stop_word(word))[:_MOST_WORDS], tuple(phrases)
        )

    def excerpts(self, texts: Sequence[str | None]) -> list[str | None]:
        """Return the part of each text around the first match; None without a match."""
        patterns = [*map(_word_pattern, self.words), *map(_phrase_pattern, self.phrases)]
        column = pa.array(texts, pa.string())
        every = (pc.find_substring_regex(column, one, ignore_case=True) for one in patterns)
        places = zip(*(found.to_pylist() for found in every), strict=True)
        found = [[place for place in every if place is not None and place >= 0] for every in places]
        return [
            _excerpt(text or "", min(every)) if every else None
            for text, every in zip(texts, found, strict=True)
        ]


@dataclass(frozen=True)
class TextCondition:
    """A condition that the text in a picture has all phrases, with another optional condition."""

    phrases: tuple[str, ...]
    where: Where | None = None

    def mask(self, table: pa.Table) -> npt.NDArray[np.bool_]:
        """Return an (N,) bool mask of the rows that satisfy the condition."""
        mask = np.ones(len(table), dtype=bool) if self.where is None else self.where.mask(table)
        for phrase in self.phrases:
            mask &= _matches(table.column(TEXT), _phrase_pattern(phrase))
        return mask


def covered(
    texts: pa.ChunkedArray, words: Sequence[str], alive: npt.NDArray[np.bool_]
) -> tuple[IntArray, npt.NDArray[np.float64]]:
    """Return the rows whose text has a word of a query, and the share of the words that it has.

    Words are weighted by the inverse document frequency of BM25. Term frequencies are ignored,
    because they mean little on signs and receipts. There is no index: a scan of 100,000 texts takes
    less than 0.1 seconds.

    Args:
        texts: texts of all rows.
        words: words of a query.
        alive: mask of the rows that were not removed.
    """
    texts = texts.cast(pa.string())
    # First without word boundaries, with which several words are too many for one RE2 automaton.
    rows = np.flatnonzero(_matches(texts, "|".join(map(_letters, words))) & alive)
    if not len(rows):
        return rows, np.empty(0)
    some = texts.take(pa.array(rows))
    has_word = np.stack([_matches(some, _word_pattern(word)) for word in words])
    lengths = pc.fill_null(pc.binary_length(texts), 0).to_numpy()
    frequency = has_word.sum(axis=1)
    weights = np.log1p((np.count_nonzero(lengths[alive]) - frequency + 0.5) / (frequency + 0.5))
    # Rounded, so that rows with the same words have equal shares.
    shares = np.round(weights @ has_word / weights.sum(), 9)
    return rows[shares > 0], shares[shares > 0]


def _wanted(query: Query) -> list[str]:
    if isinstance(query, Mix):
        return [text for weight, part in query.parts if weight > 0 for text in _wanted(part)]
    return [query] if isinstance(query, str) else []


def _is_stop_word(word: str) -> bool:
    return word in _STOP_WORDS or (len(word) == 1 and word.isascii() and word.isalpha())


def _word_pattern(word: str) -> str:
    return f"{_START}{_letters(word)}{_END}"


def _phrase_pattern(phrase: str) -> str:
    between = f"[^{_LETTER}]*"
    return f"{_START}{between.join(map(_letters, whole_words(phrase)))}{_END}"


def _letters(word: str) -> str:
    # RE2 ignores case, but casefold() has also replaced ß by ss.
    return re.escape(word).replace("ss", "(?:ss|ß)").replace("'", "['’]")


def _matches(texts: pa.ChunkedArray, pattern: str) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = pc.coalesce(
        pc.match_substring_regex(texts, pattern, ignore_case=True), False
    ).to_numpy()
    return found


def _excerpt(text: str, place: int) -> str:
    """Return the words around a position in bytes."""
    at = len(text.encode()[:place].decode(errors="ignore"))
    first = text.rfind(" ", 0, max(0, at - _EXCERPT)) + 1
    last = text.find(" ", at + _EXCERPT)
    end = len(text) if last < 0 else last
    return f"{'…' if first else ''}{text[first:end]}{'…' if end < len(text) else ''}"
