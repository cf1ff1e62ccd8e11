"""An encoder whose network is exported and run by another backend."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from cmr_hub.encoders.backends.calibration import TEXTS, photographs
from cmr_hub.encoders.backends.export import Batch, export_onnx
from cmr_hub.encoders.backends.onnx_runtime import OnnxRuntimeSession
from cmr_hub.encoders.backends.openvino import OpenVinoSession
from cmr_hub.encoders.backends.quantise import quantise
from cmr_hub.encoders.backends.session import Session
from cmr_hub.encoders.backends.store import kept
from cmr_hub.encoders.images.exported import ExportedImageEncoder, named
from cmr_hub.encoders.optional import optional_import
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    from cmr_hub.encoders.devices import Placement
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder

logger = logging.getLogger(__name__)

_SESSIONS: Final = {"onnx": OnnxRuntimeSession, "openvino": OpenVinoSession}
_PACKAGES: Final = {"onnx": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino")}
_VERSIONS: Final = ("cmr-hub", "torch", "onnx", "onnxscript", "onnxruntime", "openvino")
_LEAST_COSINE: Final = {"float32": 0.9999, "int8": 0.95}
_FILE: Final = "network.onnx"
_PICTURES: Final = 64  # to measure ranges on
_CHECKED: Final = (1, 3)  # pictures in the batches that exports are checked with


def export_image_encoder(encoder: ImageEncoder, placement: Placement) -> ImageEncoder:
    """The encoder, run by the backend of a placement.

    Raises:
        CMRError: it cannot be exported, gives other features there, or the backend is not
            installed.
    """
    if placement == encoder.placement:
        return encoder

    def shown(count: int, seed: int) -> Batch:
        own = encoder.preprocessing
        pixels = [own.pixels(one) for one in photographs(count, seed)]
        return named(own.normalised(np.stack(pixels)))

    def run(batch: Batch) -> Tensor:
        return encoder.forward(batch["pixels"] if batch.keys() == {"pixels"} else batch)

    session = _session(
        encoder,
        f"{encoder.fingerprint} image",
        run,
        placement,
        # Another seed for each, so that none is checked on what it was made with.
        example=lambda: shown(2, 0),
        checks=lambda: [shown(count, 1 + count) for count in _CHECKED],
        ranges=lambda: [shown(1, 100 + number) for number in range(_PICTURES)],
    )
    return ExportedImageEncoder(encoder, placement, session)


def export_text_encoder(encoder: TextEncoder, placement: Placement) -> TextEncoder:
    """The encoder, or those of its parts that have a network, run by the backend of a placement.

    Raises:
        CMRError: as `export_image_encoder`.
    """
    if encoder.parts:
        parts = [export_text_encoder(part, placement) for part in encoder.parts]
        return encoder.with_parts(parts)
    if encoder.network is None or placement == encoder.placement:
        return encoder
    session = _session(
        encoder,
        f"{encoder.fingerprint} text",
        encoder.rows,
        placement,
        example=lambda: encoder.tokens(TEXTS[0]),
        checks=lambda: [encoder.tokens(texts) for texts in TEXTS[1:]],
        ranges=lambda: [encoder.tokens(texts) for texts in TEXTS],
    )
    return encoder.run_by(session, placement)


def _session(
    encoder: ImageEncoder | TextEncoder,
    identity: str,
    run: Callable[[Batch], Tensor],
    placement: Placement,
    *,
    example: Callable[[], Batch],
    checks: Callable[[], Sequence[Batch]],
    ranges: Callable[[], Sequence[Batch]],
) -> Session:
    """The network in its backend, exported if it has not been yet."""
    name, backend = encoder.name, placement.backend
    for package in _PACKAGES[backend]:
        optional_import(package, f"backend {backend}", backend)
    if not encoder.placement.is_reference:
        raise CMRError(
            f"{name} is on {encoder.placement.device} in {encoder.placement.precision}: it is "
            "exported from float32 on the CPU; load it with the backend at once"
        )
    if encoder.network is None:
        raise CMRError(f"{name} cannot be exported: run it with the backend torch")
    open_session = _SESSIONS[backend]

    def make(directory: Path) -> None:
        logger.warning(
            "Exporting %s for %s in %s, once; it takes a minute or so",
            name,
            backend,
            placement.precision,
        )
        file = directory / _FILE
        if placement.precision == "int8":
            with TemporaryDirectory(dir=directory) as workshop:
                whole = Path(workshop) / "float32.onnx"
                export_onnx(encoder.network, run, example(), whole, name)
                shown = ({key: one.numpy() for key, one in batch.items()} for batch in ranges())
                quantise(whole, file, shown, backend)
        else:
            export_onnx(encoder.network, run, example(), file, name)
        _check(open_session(file), run, checks(), placement, name)

    facts = [identity, backend, placement.marked(""), *map(_version, _VERSIONS)]
    return open_session(kept(f"{backend}-{placement.precision}", facts, make) / _FILE)


def _check(
    session: Session,
    run: Callable[[Batch], Tensor],
    batches: Sequence[Batch],
    placement: Placement,
    name: str,
) -> None:
    """Raises CMRError where the export gives other rows than the network in torch."""
    least = _LEAST_COSINE[placement.precision]
    for batch in batches:
        with torch.inference_mode():
            expected = run(batch)
        try:
            found = session(batch)
        except Exception as error:  # each runtime has errors of its own
            reason = " ".join(str(error).split())[:200]
            raise CMRError(
                f"{name} is exported, but {placement.backend} cannot run it ({reason}): "
                "run it with the backend torch"
            ) from error
        close = found.shape == expected.shape and float(
            cosine_similarity(found.double(), expected.double()).min()
        )
        if not close or not close >= least:  # it may not be a number
            raise CMRError(
                f"{name} gives other rows in {placement.precision} with {placement.backend} "
                f"(cosine {float(close):.4f} to torch's, {least} is the least): run it "
                + ("in float32, or " if placement.precision == "int8" else "")
                + "with the backend torch"
            )


def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return package
