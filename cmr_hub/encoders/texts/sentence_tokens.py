"""Tokenisers of sentence encoders: those of transformers, or a known `tokenizer.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cmr_hub.encoders.panics import refusing_panics
from cmr_hub.encoders.texts.lock import OwnLock
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    from cmr_hub.types import IntArray


class SentenceTokens(Protocol):
    """Interface of tokenisers. Texts over the model's maximum length are truncated."""

    @property
    def special_ids(self) -> frozenset[int]:
        """Special tokens, including that of unknown words."""

    def batch(self, texts: Sequence[str]) -> dict[str, IntArray]:
        """Tokenise B texts into the (B, T) int64 arrays that the model needs, padded."""

    def ids(self, text: str, *, special: bool) -> list[int]:
        """Return the tokens of a text, with or without the special tokens at its ends."""

    def described(self) -> tuple[str, int]:
        """Return the tokeniser in the format of `tokenizer.json`, and the maximum length."""


class LibraryTokens:
    """Any tokeniser of transformers.

    Args:
        tokenizer: Tokeniser of transformers.
        max_tokens: Length to which texts are truncated.
    """

    def __init__(self, tokenizer: Any, max_tokens: int) -> None:
        self.tokenizer = tokenizer
        self.special_ids = frozenset(tokenizer.all_special_ids)
        self._cut = {"truncation": True, "max_length": max_tokens}
        self._tokenizing = OwnLock()

    def batch(self, texts: Sequence[str]) -> dict[str, IntArray]:
        """See `SentenceTokens`."""
        found = self._tokens(list(texts), padding=True, return_tensors="np", **self._cut)
        return {name: np.asarray(one, dtype=np.int64) for name, one in found.items()}

    def ids(self, text: str, *, special: bool) -> list[int]:
        """See `SentenceTokens`."""
        found: list[int] = self._tokens(text, add_special_tokens=special, **self._cut)["input_ids"]
        return found

    def described(self) -> tuple[str, int]:
        """See `SentenceTokens`. Raises CMRError for a tokeniser without such a format."""
        if not self.tokenizer.is_fast:
            raise CMRError("the tokeniser of this encoder is Python code and cannot be exported")
        return self.tokenizer.backend_tokenizer.to_str(), int(self._cut["max_length"])

    def _tokens(self, text: str | list[str], **options: Any) -> Any:
        # Truncation and padding are state of the tokeniser: two threads would get each other's
        # settings, or an error.
        with self._tokenizing, refusing_panics("this encoder"):
            return self.tokenizer(text, **options)


class FileTokens:
    """Tokeniser of a `tokenizer.json`, for models with BERT's inputs.

    transformers creates the same from such a file, but takes a second or two to import.

    Args:
        file: File of a tokeniser that is known to yield the same tokens without transformers.
        max_tokens: Length to which texts are truncated.
    """

    def __init__(self, file: Path, max_tokens: int) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(file))
        # The settings in the file are for another purpose.
        self._max_tokens = max_tokens
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.enable_padding()
        added = self._tokenizer.get_added_tokens_decoder()
        self.special_ids = frozenset(id_ for id_, token in added.items() if token.special)

    def batch(self, texts: Sequence[str]) -> dict[str, IntArray]:
        """See `SentenceTokens`."""
        found = self._tokenizer.encode_batch(list(texts))
        parts = {
            "input_ids": [one.ids for one in found],
            "token_type_ids": [one.type_ids for one in found],
            "attention_mask": [one.attention_mask for one in found],
        }
        return {name: np.array(rows, dtype=np.int64) for name, rows in parts.items()}

    def ids(self, text: str, *, special: bool) -> list[int]:
        """See `SentenceTokens`."""
        found: list[int] = self._tokenizer.encode(text, add_special_tokens=special).ids
        return found

    def described(self) -> tuple[str, int]:
        """See `SentenceTokens`."""
        return self._tokenizer.to_str(), self._max_tokens
