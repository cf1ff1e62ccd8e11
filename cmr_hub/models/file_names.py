"""Refuse texts that are names of picture files, because the picture was probably meant."""

from __future__ import annotations

from cmr_hub.datasets.metadata import IMAGE_ENDINGS
from cmr_hub.errors import QueryError


def refuse_file_name(text: str) -> None:
    """Refuse a single word with the extension of a picture file; sentences pass.

    Raises:
        QueryError: the text is a file name; the message says how to pass the picture.
    """
    word = text.strip()
    if len(word.split()) == 1 and word.lower().endswith(IMAGE_ENDINGS):
        raise QueryError(
            f"{word[:200]!r} is the name of a picture's file, and a text is only read for its "
            f"words. To search with the picture give Path({word[:200]!r}) in Python, --image on "
            "the command line, or the picture itself on the page; to search for the words leave "
            "the ending out"
        )
