"""Messages about unknown words and negations in a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cmr_hub.encoders.texts.tokens import unique, words
from cmr_hub.gallery.query import query_texts, without_phrases

if TYPE_CHECKING:
    from cmr_hub.gallery.query import Query
    from cmr_hub.models.cross_modal import CrossModalModel

_SHOWN: Final = 8
_LETTERS: Final = 40
_NEGATIONS: Final = frozenset(
    {
        *("no", "not", "never", "none", "neither", "nor"),
        *("nobody", "nothing", "cannot", "without", "except"),
    }
)


def unknown_words(model: CrossModalModel, query: Query) -> list[str]:
    """Return the distinct words of a query that the model does not know."""
    texts = query_texts(without_phrases(query))
    return unique(word for text in texts for word in model.unknown_words(text))


def query_notes(query: Query, unknown: Sequence[str], instead: str) -> list[str]:
    """Return messages about unknown words and negations in a query.

    Args:
        query: the query.
        unknown: words of the query that the model does not know.
        instead: how to exclude something, for example "with --without".
    """
    return [*filter(None, (left_out(unknown), _negation_note(query, instead)))]


def left_out(unknown: Sequence[str]) -> str:
    """Return a message that lists unknown words, or "" if there are none."""
    if not unknown:
        return ""
    shown = ", ".join(word[:_LETTERS] for word in unknown[:_SHOWN])
    more = len(unknown) - _SHOWN
    return (
        f"Left out, as this model does not know them: {shown}"
        f"{f' and {more} more' if more > 0 else ''}."
    )


def _negation_note(query: Query, instead: str) -> str:
    """Return a warning that "no dogs" finds dogs, or "" without a negation."""
    found = next(
        (
            word
            for text in query_texts(without_phrases(query))
            for word in words(text)
            if word in _NEGATIONS or word.endswith("n't")
        ),
        None,
    )
    if found is None:
        return ""
    return (
        f"The word “{found}” is not understood: what follows it is searched for nevertheless. "
        f"Say what should not be there {instead}."
    )
