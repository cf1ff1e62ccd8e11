"""Tokenisers of sentence encoders, from transformers or from a known `tokenizer.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cmr_hub.encoders.panics import refusing_panics
from cmr_hub.encoders.texts.lock import CopyableLock
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    from cmr_hub.types import IntArray


class SentenceTokens(Protocol):
    """Interface of tokenisers, which truncate texts over the maximum length of the model."""

    @property
    def special_ids(self) -> frozenset[int]:
        """Special tokens, including the token of unknown words."""

    def batch(self, texts: Sequence[str]) -> dict[str, IntArray]:
        """Tokenise B texts into the padded (B, T) int64 arrays that the model needs."""

    def ids(self, text: str, *, special: bool) -> list[int]:
        """Return the tokens of a text, with or without the special tokens at its ends."""

    def described(self) -> tuple[str, int]:
        """Return the content of a `tokenizer.json` and the maximum length."""


class LibraryTokens:
    """Any tokeniser of transformers.

    Args:
        tokenizer: Tokeniser of transformers.
        max_tokens: Length to which texts are truncated.
    """

    def __init__(self, tokenizer: Any, max_tokens: int) -> None:
        self.tokenizer = tokenizer
        self.special_ids = frozenset(tokenizer.all_special_ids)
        self._truncation = {"truncation": True, "max_length": max_tokens}
        self._tokenizing = CopyableLock()

    def batch(self, texts: Sequence[str]) -> dict[str, IntArray]:
        """See `SentenceTokens`."""
        tokens = self._tokens(list(texts), padding=True, return_tensors="np", **self._truncation)
        return {name: np.asarray(rows, dtype=np.int64) for name, rows in tokens.items()}

    def ids(self, text: str, *, special: bool) -> list[int]:
        """See `SentenceTokens`."""
        tokens = self._tokens(text, add_special_tokens=special, **self._truncation)
        ids: list[int] = tokens["input_ids"]
        return ids

    def described(self) -> tuple[str, int]:
        """See `SentenceTokens`. Raises CMRError for a tokeniser without such a format."""
        if not self.tokenizer.is_fast:
            raise CMRError("the tokeniser of this encoder is Python code and cannot be exported")
        return self.tokenizer.backend_tokenizer.to_str(), int(self._truncation["max_length"])

    def _tokens(self, text: str | list[str], **options: Any) -> Any:
        # Truncation and padding are state of the tokeniser, which threads must not share.
        with self._tokenizing, refusing_panics("this encoder"):
            return self.tokenizer(text, **options)


class FileTokens:
    """Tokeniser of a `tokenizer.json`, for models with the inputs of BERT.

    transformers returns the same tokens, but takes a second or two to import.

    Args:
        file: File of a tokeniser that is known to yield the same tokens without transformers.
        max_tokens: Length to which texts are truncated.
    """

    def __init__(self, file: Path, max_tokens: int) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(file))
        # These settings in the file may be for another purpose.
        self._max_tokens = max_tokens
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.enable_padding()
        added = self._tokenizer.get_added_tokens_decoder()
        self.special_ids = frozenset(id_ for id_, token in added.items() if token.special)

    def batch(self, texts: Sequence[str]) -> dict[str, IntArray]:
        """See `SentenceTokens`."""
        encodings = self._tokenizer.encode_batch(list(texts))
        arrays = {
            "input_ids": [encoding.ids for encoding in encodings],
            "token_type_ids": [encoding.type_ids for encoding in encodings],
            "attention_mask": [encoding.attention_mask for encoding in encodings],
        }
        return {name: np.array(rows, dtype=np.int64) for name, rows in arrays.items()}

    def ids(self, text: str, *, special: bool) -> list[int]:
        """See `SentenceTokens`."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=special).ids
        return ids

    def described(self) -> tuple[str, int]:
        """See `SentenceTokens`."""
        return self._tokenizer.to_str(), self._max_tokens
