"""Export the network of an encoder and run it in another backend.

If the export is cached, this neither imports torch nor builds the network.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cmr_hub.encoders.backends.onnx_runtime import OnnxRuntimeSession
from cmr_hub.encoders.backends.openvino import OpenVinoSession
from cmr_hub.encoders.backends.recorded import record, version
from cmr_hub.encoders.backends.store import cached, cached_or_made
from cmr_hub.encoders.images import IMAGE_ENCODERS, image_encoder_class
from cmr_hub.encoders.images.exported import ExportedFacts, ExportedImageEncoder
from cmr_hub.encoders.images.network import NetworkEncoder
from cmr_hub.encoders.lazy import Lazy
from cmr_hub.encoders.texts.pretrained import PretrainedTextEncoder

if TYPE_CHECKING:
    from cmr_hub.encoders.backends.session import Session
    from cmr_hub.encoders.devices import Placement
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder

_SESSIONS: Final[dict[str, type[Session]]] = {
    "onnx": OnnxRuntimeSession,
    "openvino": OpenVinoSession,
}
_VERSIONS: Final = ("cmr-hub", "torch", "onnx", "onnxscript", "onnxruntime", "openvino")
_NETWORK: Final = "network.onnx"
_ENCODER: Final = "encoder.json"


def export_image_encoder(
    encoder: ImageEncoder | Lazy[ImageEncoder], placement: Placement
) -> ImageEncoder:
    """Return the encoder with its network run by another backend.

    Args:
        encoder: Encoder to export. A lazy encoder is built only for exporting, or if it is not an
            encoder of this package, and does not stay in memory.
        placement: The backend and its precision.

    Raises:
        CMRError: The encoder cannot be exported, its exported features differ, or the backend is
            not installed.
    """
    key = _key(f"{encoder.fingerprint} image", placement)
    if isinstance(encoder, Lazy):
        directory = cached(*key)
        facts = None if directory is None else _exported_facts(encoder, directory)
        if directory is not None and facts is not None:
            return ExportedImageEncoder(facts, placement, _open(directory, placement))
        encoder = encoder.once()
    own = encoder
    if placement == own.placement:
        return own

    def make(directory: Path) -> None:
        from cmr_hub.encoders.backends.making import export_images

        export_images(own, placement, _session(placement), directory / _NETWORK)
        facts = {"weights_sha256": own.weights_sha256}
        (directory / _ENCODER).write_text(json.dumps(facts), encoding="utf-8")

    return ExportedImageEncoder(own, placement, _open(cached_or_made(*key, make), placement))


def export_text_encoder(
    encoder: TextEncoder | Lazy[TextEncoder], placement: Placement
) -> TextEncoder:
    """Return the encoder with its network, or the networks of its parts, run by another backend.

    Args:
        encoder: Encoder to export. Its weights are loaded only for exporting, and do not stay in
            memory unless they are loaded already.
        placement: The backend and its precision.

    Raises:
        CMRError: See `export_image_encoder`.
    """
    if isinstance(encoder, Lazy):
        exported = cached(*_key(f"{encoder.fingerprint} text", placement))
        bare = None if exported is None else encoder.without_network()
        if exported is not None and bare is not None:
            return bare.run_by(_open(exported, placement), placement)
        encoder = encoder.once()
    own = encoder
    if own.parts:
        return own.with_parts([export_text_encoder(part, placement) for part in own.parts])
    if not own.has_network or placement == own.placement:
        return own

    def make(directory: Path) -> None:
        from cmr_hub.encoders.backends.making import export_texts

        # The copy loads a separate network, which is freed after the export.
        export_texts(copy.copy(own), placement, _session(placement), directory / _NETWORK)

    directory = cached_or_made(*_key(f"{own.fingerprint} text", placement), make)
    if isinstance(own, PretrainedTextEncoder):
        record(own.backbone)
    return own.run_by(_open(directory, placement), placement)


def _exported_facts(encoder: Lazy[ImageEncoder], directory: Path) -> ExportedFacts | None:
    """Return facts about the encoder; None if it must be built for them or does not match."""
    if encoder.name not in IMAGE_ENCODERS:
        return None  # its preprocessing needs its library
    kind = image_encoder_class(encoder.name)
    if not issubclass(kind, NetworkEncoder):
        return None
    facts = json.loads((directory / _ENCODER).read_text(encoding="utf-8"))
    weights = str(facts["weights_sha256"])
    if kind.fingerprint_with(weights) != encoder.fingerprint:
        return None
    return ExportedFacts(
        name=encoder.name,
        dim=encoder.dim,
        source=encoder.source,
        preprocessing=kind.preprocessing,
        batch_size=kind.batch_size,
        weights_sha256=weights,
        fingerprint=encoder.fingerprint,
    )


def _key(identity: str, placement: Placement) -> tuple[str, list[str]]:
    """Return the key of an export in the cache."""
    backend, precision = placement.backend, placement.precision
    facts = [identity, backend, placement.marked(""), *map(version, _VERSIONS)]
    return f"{backend}-{precision}", facts


def _session(placement: Placement) -> type[Session]:
    """Return the session class of a backend. Raises CMRError if the backend is not installed."""
    session = _SESSIONS[placement.backend]
    session.require()
    return session


def _open(directory: Path, placement: Placement) -> Session:
    return _session(placement)(directory / _NETWORK)
