"""Export torch networks to ONNX, with a variable batch size."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cmr_hub.encoders.optional import optional_import
from cmr_hub.errors import CMRError

Batch = dict[str, Tensor]
"""Named tensors; the first dimension of each is the batch."""

logger = logging.getLogger(__name__)

_ROWS = "rows"
_LOGGERS = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


class _Positional(nn.Module):
    """Adapter for the exporter, which passes positional instead of named tensors."""

    def __init__(self, network: nn.Module, run: Callable[[Batch], Tensor], names: list[str]):
        super().__init__()
        self.network = network  # registers its weights with this module
        self._run, self._names = run, names

    def forward(self, *tensors: Tensor) -> Tensor:
        return self._run(dict(zip(self._names, tensors, strict=True)))


def export_onnx(
    network: nn.Module,
    run: Callable[[Batch], Tensor],
    example: Batch,
    file: Path,
    name: str,
    *,
    is_quick: bool = False,
) -> None:
    """Write a network as ONNX; large weights may be in a second file, `<file>.data`.

    The batch size and the second dimension of two-dimensional inputs (tokens of texts) are
    variable.

    Args:
        network: Module with the weights.
        run: Function that maps a batch to (B, dim) rows with `network`.
        example: A batch of at least two items.
        file: Path to write.
        name: Name of the encoder in error messages.
        is_quick: Export by tracing, which is ten times as fast, for networks whose control flow
            does not depend on the batch.

    Raises:
        CMRError: onnx is not installed, or the network cannot be exported.
    """
    optional_import("onnx", "export to ONNX")
    module = _Positional(network, run, list(example)).eval()
    if is_quick:
        try:
            _trace(module, example, file)
        except Exception as error:  # tracing is deprecated in torch, and may be removed
            logger.info("%s is exported without tracing, which is slower: %s", name, error)
        else:
            return
    optional_import("onnxscript", "export to ONNX")
    dims = torch.export.Dim
    shapes = tuple(
        {0: dims.DYNAMIC, 1: dims.AUTO} if tensor.ndim == 2 else {0: dims.DYNAMIC}
        for tensor in example.values()
    )
    try:
        with torch.no_grad(), _quiet():
            torch.onnx.export(
                module,
                tuple(example.values()),
                str(file),
                input_names=list(example),
                output_names=[_ROWS],
                dynamic_shapes=(shapes,),
                dynamo=True,
                external_data=True,
                verbose=False,
            )
    except Exception as error:  # the exporter has no base class for its errors
        reason = " ".join(str(error).split())[:200]
        raise CMRError(
            f"{name} cannot be exported ({type(error).__name__}: {reason}): use the backend torch"
        ) from error


def _trace(module: nn.Module, example: Batch, file: Path) -> None:
    """Export a network by tracing the example, with variable dimensions."""
    dynamic_axes = {name: {0: "items"} for name in (*example, _ROWS)}
    for name, tensor in example.items():
        if tensor.ndim == 2:
            dynamic_axes[name][1] = "tokens"
    with torch.no_grad(), _quiet():
        torch.onnx.export(
            module,
            tuple(example.values()),
            str(file),
            input_names=list(example),
            output_names=[_ROWS],
            dynamic_axes=dynamic_axes,
            dynamo=False,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter."""
    loggers: list[tuple[Any, int]] = [
        (logging.getLogger(name), logging.getLogger(name).level) for name in _LOGGERS
    ]
    for logger, _ in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in loggers:
            logger.setLevel(level)
