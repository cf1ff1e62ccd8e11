"""Pictures of entries become vectors on the machines of a Ray cluster.

The same tasks run on one machine and on many. Ray does again what a machine that fails has not
finished. The gallery has one writer all the same: what is encoded comes back to the process that
started the run, which decides what is new, moved or gone and writes it, as without a cluster.

Processes that only decode import this module too, so it does not import torch.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cmr_hub.errors import CMRError
from cmr_hub.gallery.indexing.decode import decode_one
from cmr_hub.gallery.indexing.encode import Encoded, image_encoder_of
from cmr_hub.gallery.indexing.entry import Place

if TYPE_CHECKING:
    from cmr_hub.encoders.images.preprocessing import Preprocessing
    from cmr_hub.gallery.indexing.entry import Entry
    from cmr_hub.models.cross_modal import CrossModalModel

_BLOCK = 64
"""Pictures in a task: half a second of work, more than a task costs."""


def encoded_on_ray(
    entries: Sequence[Entry],
    model: CrossModalModel,
    known: Container[str],
    *,
    workers: int | None = None,
) -> Iterator[tuple[Entry, Encoded]]:
    """Ray Data reads and decodes in tasks and encodes in a pool of actors; see `encode.Encode`.

    The cluster is the one that Ray finds: where `RAY_ADDRESS` says, else a new one on this machine.
    The pictures must be under the same paths on all machines. What is known already is encoded
    again if its file was touched.

    Args:
        entries, model, known: as `encode.Encode` says.
        workers: encoders at most; default three of four cores of the cluster, as many as can be
            fed by the others.

    Raises:
        CMRError: Ray is not installed, or the cluster cannot go on.
    """
    if not entries:
        return
    ray, data = _ray()
    encoder = image_encoder_of(model)
    cores = int(ray.cluster_resources().get("CPU", 1))
    most = workers or max(1, 3 * cores // 4)
    blocks = [
        _places(start, entries[start : start + _BLOCK]) for start in range(0, len(entries), _BLOCK)
    ]
    done = (
        data.from_arrow(blocks)
        .map_batches(
            _decode,
            fn_kwargs={"preprocessing": encoder.preprocessing},
            batch_format="pyarrow",
            batch_size=None,
        )
        .map_batches(
            _Encoder,
            fn_constructor_args=(ray.put((encoder, model.image_projector)),),
            batch_format="pyarrow",
            batch_size=None,
            concurrency=(1, most),
            num_cpus=1,
        )
    )
    try:
        for batch in done.iter_batches(batch_size=None, batch_format="pyarrow"):
            for row in batch.to_pylist():
                vector = row["vector"]
                yield (
                    entries[row["number"]],
                    Encoded(
                        row["sha256"],
                        None if vector is None else np.array(vector, dtype=np.float32),
                        row["problem"],
                    ),
                )
    except ray.exceptions.RayError as error:
        raise CMRError(
            f"the cluster cannot go on: {str(error).strip().splitlines()[-1]}. "
            "What was indexed before is kept"
        ) from error


class _Encoder:
    """An actor that turns decoded pictures into vectors."""

    def __init__(self, parts: Any) -> None:
        import ray
        import torch

        torch.set_num_threads(1)  # one core each is what the cluster has given
        self.encoder, self.projector = ray.get(parts)

    def __call__(self, batch: pa.Table) -> pa.Table:
        there = batch.column("pixels").is_valid().to_numpy()
        vectors: list[Any] = [None] * len(batch)
        side = self.encoder.preprocessing.crop
        if there.any():
            data = b"".join(batch.column("pixels").drop_null().to_pylist())
            pixels = np.frombuffer(data, np.uint8).reshape(-1, side, side, 3)
            found = self.projector.embed(self.encoder.encode_pixels(pixels))
            for place, vector in zip(np.flatnonzero(there), found, strict=True):
                vectors[place] = vector
        kept = batch.drop_columns(["pixels"])
        return kept.append_column("vector", pa.array(vectors, pa.list_(pa.float32())))


def _ray() -> tuple[Any, Any]:
    """Ray, connected, and its `data`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise CMRError("--cluster ray wants: pip install 'cmr-hub[cluster]'") from error
    if not ray.is_initialized():
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise CMRError(f"cannot reach the Ray cluster: {error}") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # there is one already
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray, ray.data


def _places(start: int, entries: Sequence[Entry]) -> pa.Table:
    """A block of work: where the pictures are that have the numbers from `start` on."""
    return pa.table(
        {
            "number": pa.array(range(start, start + len(entries)), pa.int64()),
            "file": pa.array([str(entry.place.file) for entry in entries], pa.string()),
            "offset": pa.array([entry.place.offset for entry in entries], pa.int64()),
            "size": pa.array([entry.place.size for entry in entries], pa.int64()),
        }
    )


def _decode(batch: pa.Table, *, preprocessing: Preprocessing) -> pa.Table:
    """Places of pictures → their pixels as bytes."""
    pictures = [
        decode_one(Place(Path(row["file"]), row["offset"], row["size"]), preprocessing)
        for row in batch.to_pylist()
    ]
    pixels = [None if one.pixels is None else one.pixels.tobytes() for one in pictures]
    return pa.table(
        {
            "number": batch.column("number"),
            "sha256": pa.array([one.sha256 for one in pictures], pa.string()),
            "problem": pa.array([one.problem for one in pictures], pa.string()),
            "pixels": pa.array(pixels, pa.binary()),
        }
    )
