"""Text encoders by name; see `cmr_hub.encoders.register` to add one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmr_hub.encoders import refuse_other_name
from cmr_hub.encoders.pretrained import PREFIX
from cmr_hub.errors import CMRError, shown
from cmr_hub.registry import Registry

if TYPE_CHECKING:
    import numpy as np

    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.types import JSONObject

TEXT_ENCODERS = Registry(
    "text encoder",
    "cmr_hub.encoders",
    {
        "bow": "cmr_hub.encoders.texts.bow:BowEncoder",
        "concat": "cmr_hub.encoders.texts.concat:ConcatEncoder",
        "glove": "cmr_hub.encoders.texts.glove:GloveEncoder",
        "lda": "cmr_hub.encoders.texts.lda:LdaEncoder",
        "sentence": "cmr_hub.encoders.texts.sentence:SentenceEncoder",
        "text-cnn": "cmr_hub.encoders.texts.text_cnn:TextCNNEncoder",
        "word2vec": "cmr_hub.encoders.texts.word2vec:Word2VecEncoder",
    },
    base="cmr_hub.encoders.texts.base:TextEncoder",
)
"""Text encoders by name. Names declared by other packages include image encoders, because the kind
of an entry point is known only after importing it."""


def _encoder_class(name: str) -> type[TextEncoder]:
    encoder: type[TextEncoder] = TEXT_ENCODERS[name]
    refuse_other_name(encoder, name)
    return encoder


def text_encoder(encoder: str | type[TextEncoder] | TextEncoder, /, **options: Any) -> TextEncoder:
    """Return a text encoder. A new one is not fitted yet.

    Args:
        encoder: A key of TEXT_ENCODERS; `hf:REPOSITORY`, `hf:REPOSITORY@REVISION` or
            `hf:DIRECTORY` for a pretrained encoder that sentence-transformers or open_clip can
            load; a class; or an encoder, which is returned unchanged.
        options: Options of the encoder. A pretrained encoder or an instance has none.

    Raises:
        UnknownNameError: There is no such encoder.
        CMRError: An option is unknown (the message lists the known ones), or `encoder` is not a
            text encoder.
        ModelFormatError, HubError: A pretrained encoder cannot be read.
    """
    if isinstance(encoder, str) and not encoder.startswith(PREFIX):
        return _encoder_class(encoder)(**options)
    if TEXT_ENCODERS.accepts(encoder):
        return encoder(**options)  # type: ignore[operator]
    if options:
        raise CMRError(f"{shown(encoder)} has no options: leave out {', '.join(options)}")
    if isinstance(encoder, str):
        from cmr_hub.encoders.pretrained.hub import locate
        from cmr_hub.encoders.pretrained.load import backbone
        from cmr_hub.encoders.texts.pretrained import PretrainedTextEncoder

        return PretrainedTextEncoder(backbone(locate(encoder)))
    if not TEXT_ENCODERS.accepts(type(encoder)):
        raise CMRError(
            "a text encoder must be a name, a subclass of cmr_hub.encoders.TextEncoder or an "
            f"instance of one, not {shown(encoder)}"
        )
    return encoder  # type: ignore[return-value]


def text_encoder_from_state(
    name: str, settings: JSONObject, arrays: dict[str, np.ndarray]
) -> TextEncoder:
    """Restore an encoder from the results of its `state()`. Raises ModelFormatError."""
    return _encoder_class(name).from_state(settings, arrays)
