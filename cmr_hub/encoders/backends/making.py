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
    """Export the network of an image encoder for a backend.

    Raises:
        CMRError: The network cannot be exported, or its exported features differ.
    """

    def inputs(count: int, seed: int) -> Arrays:
        prepare = encoder.preprocessing
        pictures = photographs(count, seed)
        return prepare.arrays(np.stack([prepare.pixels(picture) for picture in pictures]))

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
        example=lambda: inputs(2, 0),
        checks=lambda: [inputs(count, 1 + count) for count in _CHECKED],
        ranges=lambda: [inputs(1, 100 + number) for number in range(_PICTURES)],
    )


def export_texts(
    encoder: TextEncoder, placement: Placement, session: type[Session], file: Path
) -> None:
    """Export the network of a text encoder for a backend; see `export_images`."""

    def inputs(texts: Sequence[str]) -> Arrays:
        return {name: tokens.numpy() for name, tokens in encoder.tokens(texts).items()}

    _export(
        encoder,
        encoder.rows,
        placement,
        session,
        file,
        is_quick=encoder.exports_quickly,
        example=lambda: inputs(TEXTS[0]),
        checks=lambda: [inputs(texts) for texts in TEXTS[1:]],
        ranges=lambda: [inputs(texts) for texts in TEXTS],
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
            f"{name} is on {encoder.placement.device} in {encoder.placement.precision}, but only "
            "float32 on the CPU can be exported: choose the backend when you load it"
        )
    logger.warning(
        "Exporting %s for %s in %s; this happens once and takes %s",
        name,
        backend,
        placement.precision,
        "some seconds" if is_quick else "about a minute",
    )
    network = encoder.network
    if network is None:
        raise CMRError(f"{name} cannot be exported: use the backend torch")
    with TemporaryDirectory(dir=file.parent) as folder:
        # OpenVINO reads the float32 network as exported.
        is_final = backend == "openvino" and placement.precision == "float32"
        exported = file if is_final else Path(folder) / file.name
        export_onnx(network, run, _tensors(example()), exported, name, is_quick=is_quick)
        if placement.precision == "int8":
            quantise(exported, file, ranges(), backend)
        elif not is_final:
            simplify(exported, file)
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
            rows = session(batch)
        except Exception as error:  # the runtimes have no common class of errors
            reason = " ".join(str(error).split())[:200]
            raise CMRError(
                f"{name} was exported, but {placement.backend} cannot run it ({reason}): "
                "use the backend torch"
            ) from error
        cosine = rows.shape == expected.shape and _least_cosine(rows, expected)
        if not cosine or not cosine >= least:  # also refuses NaN
            raise CMRError(
                f"{name} returns other rows in {placement.precision} with {placement.backend} "
                f"(cosine {float(cosine):.4f} to the rows of torch, at least {least} is needed): "
                + ("use float32, or " if placement.precision == "int8" else "use ")
                + "the backend torch"
            )


def _least_cosine(rows: FloatArray, expected: FloatArray) -> float:
    a, b = rows.astype(np.float64), expected.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) / lengths.clip(1e-16)).min())


def _tensors(batch: Arrays) -> Batch:
    return {name: torch.from_numpy(np.ascontiguousarray(rows)) for name, rows in batch.items()}
