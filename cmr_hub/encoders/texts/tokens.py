"""Word tokeniser of all encoders that work on words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from cmr_hub.errors import CMRError, shown
from cmr_hub.types import Document

# Disjoint character classes around the apostrophe make matching linear in the text's length.
_WORD = re.compile(r"([^\W_]+(?:'(?!s\b)[^\W_]+)*)(?:'s\b)?")
_WITHOUT_APOSTROPHE = re.compile(r"[^\W_]+")  # for texts without an apostrophe, in half the time


def words(text: str) -> list[str]:
    """Return the lower-case words of a text, in order.

    A word is a run of Unicode letters and digits, possibly with inner apostrophes (`don't`). The
    possessive 's is dropped (`dog's` is `dog`), and hyphens separate words. Typographic and
    composed characters are normalised (NFKC, ’ is '). All other characters, including control
    characters and emoji, only separate words.
    """
    plain = _plain(text)
    return (_WORD if "'" in plain else _WITHOUT_APOSTROPHE).findall(plain)


def word_spans(text: str) -> tuple[str, list[tuple[str, int, int]]]:
    """Return the normalised text, and each of its words with its start and end there.

    A possessive 's belongs to the span of its word.
    """
    plain = _plain(text)
    return plain, [(found[1], found.start(), found.end()) for found in _WORD.finditer(plain)]


def document_words(document: Document) -> list[str]:
    """Return the words of all sentences of a document, in order. Raises CMRError for a string."""
    return [word for sentence in sentences(document) for word in words(sentence)]


def sentences(document: Document) -> Document:
    """Validate a document and return it.

    Raises:
        CMRError: It is a string, which would be read as a document of letters; or a sentence is
            not a string.
    """
    if isinstance(document, str):
        raise CMRError(f"a document is a list of sentences: pass [{shown(document)}]")
    if not isinstance(document, Iterable):
        raise CMRError(f"a document is a list of sentences, not {shown(document)}")
    found = document if isinstance(document, Sequence) else tuple(document)
    for sentence in found:
        _refuse_no_text(sentence)
    return found


def _refuse_no_text(text: object) -> None:
    if not isinstance(text, str):
        raise CMRError(
            f"{shown(text)} ({type(text).__name__}) is no text: leave it out, or give words for it"
        )


def unique(tokens: Iterable[str]) -> list[str]:
    """Return each token once, in order of first occurrence."""
    return list(dict.fromkeys(tokens))


def _plain(text: str) -> str:
    _refuse_no_text(text)
    return unicodedata.normalize("NFKC", text).lower().replace("’", "'")
