"""Text encoders by name. A new encoder is one file and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmr_hub.registry import registered

if TYPE_CHECKING:
    import numpy as np

    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.types import JSONObject

TEXT_ENCODERS = {
    "bow": "cmr_hub.encoders.texts.bow:BowEncoder",
    "concat": "cmr_hub.encoders.texts.concat:ConcatEncoder",
    "glove": "cmr_hub.encoders.texts.glove:GloveEncoder",
    "lda": "cmr_hub.encoders.texts.lda:LdaEncoder",
    "sentence": "cmr_hub.encoders.texts.sentence:SentenceEncoder",
    "text-cnn": "cmr_hub.encoders.texts.text_cnn:TextCNNEncoder",
    "word2vec": "cmr_hub.encoders.texts.word2vec:Word2VecEncoder",
}
"""Name to `module:class`, imported when asked for."""


def _encoder_class(name: str) -> type[TextEncoder]:
    found: type[TextEncoder] = registered("text encoder", name, TEXT_ENCODERS)
    return found


def text_encoder(name: str, /, **options: Any) -> TextEncoder:
    """A new text encoder, not fitted yet.

    Raises UnknownNameError for the name and CMRError for an option, each naming the known ones.
    """
    return _encoder_class(name)(**options)


def text_encoder_from_state(
    name: str, settings: JSONObject, arrays: dict[str, np.ndarray]
) -> TextEncoder:
    """The encoder whose `state()` gave `settings` and `arrays`. Raises ModelFormatError."""
    return _encoder_class(name).from_state(settings, arrays)
