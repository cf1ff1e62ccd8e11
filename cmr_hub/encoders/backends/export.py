"""A torch network as an ONNX file, for any number of items at a time."""

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
"""Named tensors; the first dimension of each is the items."""

logger = logging.getLogger(__name__)

_ROWS = "rows"
_LOGGERS = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


class _Positional(nn.Module):
    """What the exporter takes: tensors one after the other instead of named ones."""

    def __init__(self, network: nn.Module, run: Callable[[Batch], Tensor], names: list[str]):
        super().__init__()
        self.network = network  # so that its weights are those of this module
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
    """Writes a network as ONNX; weights of some size may lie beside it, in `<file>.data`.

    The number of items may vary, and so may the second dimension of inputs of two: the tokens of
    a text.

    Args:
        network: holds the weights.
        run: a batch → (B, dim) rows, by `network`.
        example: at least two items.
        file: where to write.
        name: of the encoder, for errors.
        is_quick: by tracing, ten times as fast, for networks that do the same with every batch.

    Raises:
        CMRError: onnx is not installed, or the network cannot be exported.
    """
    optional_import("onnx", "export to ONNX")
    module = _Positional(network, run, list(example)).eval()
    if is_quick:
        try:
            _trace(module, example, file)
        except Exception as error:  # torch says that it will not trace for ever
            logger.info("%s is exported the slow way: %s", name, error)
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
    except Exception as error:  # the exporter names no base class for what networks can do
        reason = " ".join(str(error).split())[:200]
        raise CMRError(
            f"{name} cannot be exported ({type(error).__name__}: {reason}): "
            "run it with the backend torch"
        ) from error


def _trace(module: nn.Module, example: Batch, file: Path) -> None:
    """Writes what the network does with the example, whatever may vary left open."""
    varying = {name: {0: "items"} for name in (*example, _ROWS)}
    for name, tensor in example.items():
        if tensor.ndim == 2:
            varying[name][1] = "tokens"
    with torch.no_grad(), _quiet():
        torch.onnx.export(
            module,
            tuple(example.values()),
            str(file),
            input_names=list(example),
            output_names=[_ROWS],
            dynamic_axes=varying,
            dynamo=False,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on itself."""
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
