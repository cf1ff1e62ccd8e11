"""Embeddings of the same pairs at a few epochs of training, for display only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cmr_hub.atomic import atomic_file
from cmr_hub.errors import ModelFormatError
from cmr_hub.models.names import SNAPSHOTS
from cmr_hub.outside import check_file

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.training.data import PairedFeatures
    from cmr_hub.types import FloatArray

Stages: TypeAlias = "dict[int, tuple[FloatArray, FloatArray]]"
"""(N, d) embeddings of images and texts by epoch; 0 is before training."""
_LARGEST: Final = 4 * 2**30
Embed: TypeAlias = "Callable[[PairedFeatures], tuple[FloatArray, FloatArray]]"


class Snapshots:
    """Embed the same pairs before training and after epochs 1, 2, 4, 8, ...

    Args:
        pairs: pairs to embed.
        ids: ids of the pairs.
        folder: folder to store the embeddings in, so that a resumed training has all of them.
    """

    def __init__(
        self, pairs: PairedFeatures, ids: Sequence[str], folder: str | Path | None = None
    ) -> None:
        self.pairs, self.ids = pairs, tuple(ids)
        self.file = None if folder is None else Path(folder) / SNAPSHOTS
        self.stages: Stages = {}
        if self.file is not None and self.file.exists():
            ids, stages = read_snapshots(self.file)
            self.stages = stages if ids == self.ids else {}

    def __call__(self, epoch: int, embed: Embed) -> None:
        """Embed the pairs if `epoch` is 0 or a power of two; called after every epoch."""
        if epoch & (epoch - 1):
            return
        self.stages[epoch] = embed(self.pairs)
        if self.file is not None:
            write_snapshots(self.file, self.ids, self.stages)

    def until(self, epoch: int, embeddings: tuple[FloatArray, FloatArray]) -> Stages:
        """Return the stages before `epoch`, and the final embeddings as the stage of `epoch`."""
        before = {stage: rows for stage, rows in self.stages.items() if stage < epoch}
        return before | {epoch: embeddings}


def write_snapshots(
    path: str | Path,
    ids: Sequence[str],
    stages: Mapping[int, tuple[FloatArray, FloatArray]],
) -> None:
    """Write the stages as float16, which is enough for plots."""
    tensors = {"ids": np.frombuffer("\n".join(ids).encode(), np.uint8)}
    for epoch, (images, texts) in stages.items():
        tensors |= {f"{epoch:06}/images": np.asarray(images, np.float16)}
        tensors |= {f"{epoch:06}/texts": np.asarray(texts, np.float16)}
    with atomic_file(path) as file:
        file.write_bytes(save(tensors))


def read_snapshots(path: str | Path) -> tuple[tuple[str, ...], Stages]:
    """Return the ids of the pairs and the stages in order. Raises ModelFormatError."""
    try:
        check_file(path, _LARGEST)
        with safe_open(path, framework="numpy") as file:
            names = set(file.keys())
            ids = tuple(file.get_tensor("ids").tobytes().decode().split("\n"))
            epochs = sorted({int(name[:6]) for name in names if name.endswith("/images")})
            stages = {
                epoch: (
                    _numbers(file.get_tensor(f"{epoch:06}/images")),
                    _numbers(file.get_tensor(f"{epoch:06}/texts")),
                )
                for epoch in epochs
            }
    except (OSError, SafetensorError, TypeError, ValueError) as error:
        raise ModelFormatError(f"{path} contains no training snapshots: {error}") from error
    shapes = {rows.shape for pair in stages.values() for rows in pair}
    finite = all(np.isfinite(rows).all() for pair in stages.values() for rows in pair)
    if (
        len(shapes) > 1
        or not finite
        or any(len(shape) != 2 or shape[0] != len(ids) for shape in shapes)
    ):
        raise ModelFormatError(
            f"{path}: ids and snapshots do not match, or have values that are not finite"
        )
    return ids, stages


def _numbers(array: npt.NDArray[Any]) -> FloatArray:
    if array.dtype != np.float16:
        raise ValueError(f"vectors of {array.dtype}")
    return array.astype(np.float32)
