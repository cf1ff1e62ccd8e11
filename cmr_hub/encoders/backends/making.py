"""Create exports and compare them with the network in torch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

from cmr_hub.encoders.backends.calibration import TEXTS, photographs
from cmr_hub.encoders.backends.export import Batch, export_onnx
from cmr_hub.encoders.backends.onnx_runtime import simplify
from cmr_hub.encoders.backends.quantise import quantise
from cmr_hub.encoders.images import EXPORTED_QUICKLY
from cmr_hub.encoders.images.preprocessing import PIXELS
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    from cmr_hub.encoders.backends.session import Session
    from cmr_hub.encoders.devices import Placement
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.types import Arrays, FloatArray

logger = logging.getLogger(__name__)

_LEAST_COSINE: Final = {"float32": 0.9999, "int8": 0.95}
_PICTURES: Final = 64  # number of pictures for calibration
_CHECKED: Final = (1, 3)  # sizes of the batches that exports are checked with


def export_images(
    encoder: ImageEncoder, placement: Placement, session: type[Session], file: Path
) -> None:
    """Export an image encoder's network for a backend.

    Raises:
        CMRError: It cannot be exported, or its exported features differ.
    """

    def shown(count: int, seed: int) -> Arrays:
        own = encoder.preprocessing
        return own.arrays(np.stack([own.pixels(one) for one in photographs(count, seed)]))

    def run(batch: Batch) -> Tensor:
        return encoder.forward(batch[PIXELS] if batch.keys() == {PIXELS} else batch)

    _export(
        encoder,
        run,
        placement,
        session,
        file,
        is_quick=encoder.name in EXPORTED_QUICKLY,
        # Different seeds, so that the checks use other pictures than export and calibration.
        example=lambda: shown(2, 0),
        checks=lambda: [shown(count, 1 + count) for count in _CHECKED],
        ranges=lambda: [shown(1, 100 + number) for number in range(_PICTURES)],
    )


def export_texts(
    encoder: TextEncoder, placement: Placement, session: type[Session], file: Path
) -> None:
    """Export a text encoder's network for a backend. Raises as `export_images`."""

    def said(texts: Sequence[str]) -> Arrays:
        return {name: one.numpy() for name, one in encoder.tokens(texts).items()}

    _export(
        encoder,
        encoder.rows,
        placement,
        session,
        file,
        is_quick=encoder.exports_quickly,
        example=lambda: said(TEXTS[0]),
        checks=lambda: [said(texts) for texts in TEXTS[1:]],
        ranges=lambda: [said(texts) for texts in TEXTS],
    )


def _export(
    encoder: ImageEncoder | TextEncoder,
    run: Callable[[Batch], Tensor],
    placement: Placement,
    session: type[Session],
    file: Path,
    *,
    is_quick: bool,
    example: Callable[[], Arrays],
    checks: Callable[[], Sequence[Arrays]],
    ranges: Callable[[], Sequence[Arrays]],
) -> None:
    name, backend = encoder.name, placement.backend
    if not encoder.placement.is_reference:
        raise CMRError(
            f"{name} is on {encoder.placement.device} in {encoder.placement.precision}: it is "
            "exported from float32 on the CPU; load it with the backend at once"
        )
    logger.warning(
        "Exporting %s for %s in %s, once; it takes %s",
        name,
        backend,
        placement.precision,
        "some seconds" if is_quick else "a minute or so",
    )
    network = encoder.network
    if network is None:
        raise CMRError(f"{name} cannot be exported: run it with the backend torch")
    with TemporaryDirectory(dir=file.parent) as workshop:
        whole = Path(workshop) / file.name
        is_last = backend == "openvino" and placement.precision == "float32"
        export_onnx(
            network,
            run,
            _tensors(example()),
            file if is_last else whole,
            name,
            is_quick=is_quick,
        )
        if placement.precision == "int8":
            quantise(whole, file, ranges(), backend)
        elif not is_last:
            simplify(whole, file)
    _check(session(file), run, checks(), placement, name)


def _check(
    session: Session,
    run: Callable[[Batch], Tensor],
    batches: Sequence[Arrays],
    placement: Placement,
    name: str,
) -> None:
    """Raise CMRError if the export computes other rows than the network in torch."""
    least = _LEAST_COSINE[placement.precision]
    for batch in batches:
        with torch.inference_mode():
            expected = run(_tensors(batch)).numpy()
        try:
            found = session(batch)
        except Exception as error:  # each runtime has its own errors
            reason = " ".join(str(error).split())[:200]
            raise CMRError(
                f"{name} is exported, but {placement.backend} cannot run it ({reason}): "
                "run it with the backend torch"
            ) from error
        close = found.shape == expected.shape and _least_cosine(found, expected)
        if not close or not close >= least:  # also refuses NaN
            raise CMRError(
                f"{name} gives other rows in {placement.precision} with {placement.backend} "
                f"(cosine {float(close):.4f} to torch's, {least} is the least): run it "
                + ("in float32, or " if placement.precision == "int8" else "")
                + "with the backend torch"
            )


def _least_cosine(found: FloatArray, expected: FloatArray) -> float:
    a, b = found.astype(np.float64), expected.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) / lengths.clip(1e-16)).min())


def _tensors(batch: Arrays) -> Batch:
    return {name: torch.from_numpy(np.ascontiguousarray(one)) for name, one in batch.items()}
