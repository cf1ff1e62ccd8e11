"""Text encoders by name. A new encoder is one file and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmr_hub.encoders.pretrained import PREFIX
from cmr_hub.errors import CMRError
from cmr_hub.registry import Registry

if TYPE_CHECKING:
    import numpy as np

    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.types import JSONObject

TEXT_ENCODERS = Registry(
    "text encoder",
    "cmr_hub.text_encoders",
    {
        "bow": "cmr_hub.encoders.texts.bow:BowEncoder",
        "concat": "cmr_hub.encoders.texts.concat:ConcatEncoder",
        "glove": "cmr_hub.encoders.texts.glove:GloveEncoder",
        "lda": "cmr_hub.encoders.texts.lda:LdaEncoder",
        "sentence": "cmr_hub.encoders.texts.sentence:SentenceEncoder",
        "text-cnn": "cmr_hub.encoders.texts.text_cnn:TextCNNEncoder",
        "word2vec": "cmr_hub.encoders.texts.word2vec:Word2VecEncoder",
    },
)
"""Name to `module:class`, imported when asked for."""


def _encoder_class(name: str) -> type[TextEncoder]:
    found: type[TextEncoder] = TEXT_ENCODERS[name]
    return found


def text_encoder(name: str, /, **options: Any) -> TextEncoder:
    """A new text encoder, not fitted yet.

    Args:
        name: a key of TEXT_ENCODERS; or `hf:REPOSITORY`, `hf:REPOSITORY@REVISION` or
            `hf:DIRECTORY` for a pretrained one that sentence-transformers or open_clip reads.
        options: of the encoder; a pretrained one has none.

    Raises:
        UnknownNameError: no such encoder.
        CMRError: no such option; the known ones are named.
        ModelFormatError, HubError: a pretrained one cannot be read.
    """
    if name.startswith(PREFIX):
        from cmr_hub.encoders.pretrained.hub import locate
        from cmr_hub.encoders.pretrained.load import backbone
        from cmr_hub.encoders.texts.pretrained import PretrainedTextEncoder

        if options:
            raise CMRError(f"{name} has no options: leave {', '.join(options)} out")
        return PretrainedTextEncoder(backbone(locate(name)))
    return _encoder_class(name)(**options)


def text_encoder_from_state(
    name: str, settings: JSONObject, arrays: dict[str, np.ndarray]
) -> TextEncoder:
    """The encoder whose `state()` gave `settings` and `arrays`. Raises ModelFormatError."""
    return _encoder_class(name).from_state(settings, arrays)
