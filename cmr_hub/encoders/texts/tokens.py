"""One tokeniser for every encoder that works on words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from cmr_hub.errors import CMRError, shown
from cmr_hub.types import Document

# Disjoint classes on both sides of the apostrophe: the time is linear in the text's length.
_WORD = re.compile(r"([^\W_]+(?:'(?!s\b)[^\W_]+)*)(?:'s\b)?")
_WITHOUT_APOSTROPHE = re.compile(r"[^\W_]+")  # the same where there is none, in half the time


def words(text: str) -> list[str]:
    """The lower-case words of a text, in order.

    A word is a run of Unicode letters and digits, with apostrophes inside it (`don't`); the
    possessive 's is left out (`dog's` is `dog`) and a hyphen parts two words. Typographic and
    composed forms are made one (NFKC, ’ is '). Everything else, control characters and emoji
    too, only parts words.
    """
    plain = _plain(text)
    return (_WORD if "'" in plain else _WITHOUT_APOSTROPHE).findall(plain)


def word_spans(text: str) -> tuple[str, list[tuple[str, int, int]]]:
    """The text as `words` reads it, and each of its words with where it begins and ends there.

    A possessive 's belongs to the span of its word.
    """
    plain = _plain(text)
    return plain, [(found[1], found.start(), found.end()) for found in _WORD.finditer(plain)]


def document_words(document: Document) -> list[str]:
    """The words of all sentences of a document, in order. Raises CMRError for a bare string."""
    return [word for sentence in sentences(document) for word in words(sentence)]


def sentences(document: Document) -> Document:
    """The document itself.

    Raises:
        CMRError: it is a bare string, which would pass for a document of letters; or a sentence is
            no text.
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
    """Each token once, in the order of first sight."""
    return list(dict.fromkeys(tokens))


def _plain(text: str) -> str:
    _refuse_no_text(text)
    return unicodedata.normalize("NFKC", text).lower().replace("’", "'")
