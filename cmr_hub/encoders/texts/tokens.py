"""The word tokeniser of all encoders that work on words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from cmr_hub.errors import QueryError, shown
from cmr_hub.types import Document

WORDS_VERSION: Final = 2
"""Version of `words` for new encoders; stored encoders use the version of their training."""

UNSPACED_SCRIPTS: Final = ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar")
"""Scripts that are written without spaces between words."""

# Disjoint character classes around the apostrophe make matching linear in the length of the text.
_WORD = re.compile(r"([^\W_]+(?:'(?!s\b)[^\W_]+)*)(?:'s\b)?")
_WITHOUT_APOSTROPHE = re.compile(r"[^\W_]+")  # twice as fast for texts without an apostrophe


class _Scripts(NamedTuple):
    """Patterns for texts that are not ASCII, of the library regex, because `re` lacks properties.

    A letter is a letter or digit with its combining marks.
    """

    many_marks: Any
    ignorable: Any
    word: Any
    letter: Any
    part: Any
    han: Any


@cache
def _scripts() -> _Scripts:
    import regex

    marked = r"[\p{L}\p{N}][\p{L}\p{N}\p{Mn}\p{Mc}]*"
    scripts = "".join(rf"\p{{scx={name}}}" for name in UNSPACED_SCRIPTS)
    unspaced = rf"[[{scripts}]&&[\p{{L}}\p{{N}}]]"
    patterns = (
        r"(\p{M}{30})\p{M}+",
        r"[\p{Default_Ignorable_Code_Point}--\u200b]",  # the zero-width space separates words
        rf"({marked}(?:'(?!s\b){marked})*)(?:'s\b)?",
        r"[\p{L}\p{N}][\p{Mn}\p{Mc}]*",
        rf"((?:{unspaced}[\p{{Mn}}\p{{Mc}}]*)+)|(?:(?!{unspaced}).)+",
        r"\p{Han}",
    )
    return _Scripts(*(regex.compile(pattern, regex.V1) for pattern in patterns))


def words(text: str, version: int = WORDS_VERSION) -> list[str]:
    """Return the words of a text in order.

    A word is a run of Unicode letters, with their combining marks, and digits, possibly with inner
    apostrophes (`don't`). The possessive 's is dropped (`dog's` is `dog`), and hyphens separate
    words. Case, typographic and composed characters are folded (NFKC, `str.casefold`, ’ is '). All
    other characters, including control characters and emoji, only separate words.

    Words of scripts without spaces (Han, Kana, Thai, Lao, Khmer, Myanmar) are split into
    overlapping pairs of letters. Single Han letters are also words.

    Args:
        text: the text.
        version: 1 for the words of earlier releases: lower case instead of folded, without marks,
            and without splitting scripts without spaces.
    """
    found = whole_words(text, version)
    if version == 1 or text.isascii():
        return found
    return [piece for word in found for piece in pieces(word)]


def whole_words(text: str, version: int = WORDS_VERSION) -> list[str]:
    """Return the words of a text without splitting scripts without spaces; see `words`."""
    plain = folded(text, version)
    if version == 1 or plain.isascii():
        return (_WORD if "'" in plain else _WITHOUT_APOSTROPHE).findall(plain)
    found: list[str] = _scripts().word.findall(plain)
    return found


def pieces(word: str) -> list[str]:
    """Split a word of `whole_words` into the `words` that encoders use."""
    if word.isascii():
        return [word]
    split: list[str] = []
    for part in _scripts().part.finditer(word):
        if part[1] is None:
            split += filter(None, [part[0].strip("'")])
            continue
        letters = _scripts().letter.findall(part[1])
        for index, letter in enumerate(letters):
            if len(letters) == 1 or _scripts().han.match(letter):
                split.append(letter)
            if index + 1 < len(letters):
                split.append(letter + letters[index + 1])
    return split


def word_spans(text: str) -> tuple[str, list[tuple[str, int, int]]]:
    """Return the folded text, and its whole words with their start and end in it.

    A possessive 's belongs to the span of its word.
    """
    plain = folded(text)
    pattern = _WORD if plain.isascii() else _scripts().word
    return plain, [(match[1], match.start(), match.end()) for match in pattern.finditer(plain)]


def folded(text: str, version: int = WORDS_VERSION) -> str:
    """Return a text with capitals, ligatures and full-width letters folded, for comparisons."""
    _require_text(text)
    if text.isascii():
        return text.lower()
    # Normalising is quadratic in the number of marks on a letter; Unicode allows for thirty.
    plain = unicodedata.normalize("NFKC", _scripts().many_marks.sub(r"\1", text))
    if version == 1:
        plain = plain.lower()
    else:
        plain = unicodedata.normalize("NFKC", plain.casefold())
        # Soft hyphens, joiners and direction marks are invisible, and not typed in queries.
        plain = _scripts().ignorable.sub("", plain)
    return plain.replace("’", "'")


def document_words(document: Document, version: int = WORDS_VERSION) -> list[str]:
    """Return the words of all sentences of a document in order. Raises QueryError for a string."""
    return [word for sentence in sentences(document) for word in words(sentence, version)]


def sentences(document: Document) -> Document:
    """Validate a document and return it.

    Raises:
        QueryError: The document is a string, which would be a document of letters, or a sentence
            is not a string.
    """
    if isinstance(document, str):
        raise QueryError(f"a document must be a list of sentences: pass [{shown(document)}]")
    if not isinstance(document, Iterable):
        raise QueryError(f"a document must be a list of sentences, not {shown(document)}")
    checked = document if isinstance(document, Sequence) else tuple(document)
    for sentence in checked:
        _require_text(sentence)
    return checked


def _require_text(text: object) -> None:
    if not isinstance(text, str):
        raise QueryError(
            f"a text must be a string, not {shown(text)} ({type(text).__name__}): leave it out, or "
            "replace it by words"
        )


def unique(tokens: Iterable[str]) -> list[str]:
    """Return each token once, in order of first occurrence."""
    return list(dict.fromkeys(tokens))
