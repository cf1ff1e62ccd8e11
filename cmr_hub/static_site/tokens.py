"""Describe the input of text encoders, so that a browser can prepare it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cmr_hub.encoders.texts.sentence import SentenceEncoder
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cmr_hub.encoders.backends.export import Batch
    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.encoders.texts.text_cnn import TextCNNEncoder
    from cmr_hub.types import Arrays, JSONObject

_EXAMPLE: Final = ("two dogs", "a man in a red jacket climbs a wall of rock")
IDS: Final = "ids"


@dataclass(frozen=True)
class TextInput:
    """Conversion of texts to the input of a network.

    Attributes:
        definition: the tokeniser as JSON.
        prepare: returns the input for one text.
        example: the input for two texts.
        rows: maps inputs to feature rows with the network.
        network: the module that `rows` runs.
        is_quick: whether the network can be exported by tracing it.
    """

    definition: JSONObject
    prepare: Callable[[str], Arrays]
    example: Arrays
    rows: Callable[[Batch], Tensor]
    network: nn.Module
    is_quick: bool


def text_input(encoder: TextEncoder) -> TextInput:
    """Describe the input of an encoder. Raises CMRError if browsers cannot run the encoder."""
    if isinstance(encoder, SentenceEncoder):
        return _of_sentences(encoder)
    if encoder.name == "text-cnn":
        return _of_words(encoder)  # type: ignore[arg-type]
    raise CMRError(
        f"the text encoder {encoder.name} cannot be exported for a browser; use sentence (with a "
        "WordPiece tokeniser) or text-cnn"
    )


def _of_sentences(encoder: SentenceEncoder) -> TextInput:
    def prepared(texts: tuple[str, ...]) -> Arrays:
        return {name: one.numpy() for name, one in encoder.tokens(texts).items()}

    return TextInput(
        definition=_wordpiece(*encoder.tokeniser()),
        prepare=lambda text: prepared((text,)),
        example=prepared(_EXAMPLE),
        rows=encoder.rows,
        network=encoder.network,
        is_quick=encoder.exports_quickly,
    )


def _wordpiece(tokeniser: str, max_tokens: int) -> JSONObject:
    """Return the parts of a `tokenizer.json` that a browser needs.

    Raises:
        CMRError: the tokeniser is not that of BERT.
    """
    content: Any = json.loads(tokeniser)
    model, normaliser = content["model"], content.get("normalizer") or {}
    kinds = (
        model.get("type", "WordPiece"),
        normaliser.get("type"),
        (content.get("pre_tokenizer") or {}).get("type"),
    )
    if kinds != ("WordPiece", "BertNormalizer", "BertPreTokenizer"):
        raise CMRError(
            "the text encoder cannot be exported for a browser: its tokeniser is not that of BERT, "
            f"but {', '.join(map(str, kinds))}"
        )
    vocabulary = sorted(model["vocab"], key=model["vocab"].__getitem__)
    if [model["vocab"][word] for word in vocabulary] != list(range(len(vocabulary))):
        raise CMRError("the text encoder cannot be exported: the ids of its vocabulary have gaps")
    lower = bool(normaliser["lowercase"])
    accents = normaliser.get("strip_accents")
    return {
        "kind": "wordpiece",
        "inputs": ["input_ids", "attention_mask", "token_type_ids"],
        "vocabulary": vocabulary,
        "unknown": model["unk_token"],
        "prefix": model["continuing_subword_prefix"],
        "longest": model["max_input_chars_per_word"],
        "lower": lower,
        "strip_accents": lower if accents is None else bool(accents),
        "special": [one["content"] for one in content["added_tokens"] if one["special"]],
        "first": "[CLS]",
        "last": "[SEP]",
        "max_tokens": max_tokens,
    }


def _of_words(encoder: TextCNNEncoder) -> TextInput:
    from cmr_hub.encoders.texts.text_cnn_network import padded

    reader = encoder.reader()

    def prepared(*texts: str) -> Arrays:
        return {IDS: padded(encoder.token_ids(texts)).numpy()}

    return TextInput(
        definition={
            "kind": "words",
            "inputs": [IDS],
            "vocabulary": list(encoder.glove.vocabulary),
            "words_version": encoder.glove.words_version,
        },
        prepare=prepared,
        example=prepared(*_EXAMPLE),
        rows=lambda batch: reader(batch[IDS]),
        network=reader,
        is_quick=True,
    )
