"""Encode pictures on a Ray cluster.

The same actors run on one or many machines, and Ray repeats the tasks of a machine that fails. The
gallery has one writer: the process that started the run receives the features and writes the rows,
as without a cluster.
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
from cmr_hub.gallery.indexing.decode import decode
from cmr_hub.gallery.indexing.encode import Encoded, Encoding, encoded, image_encoder_of
from cmr_hub.gallery.indexing.entry import Place
from cmr_hub.gallery.items import FACT_TYPES, PICTURE_HASH, TEXT, TEXT_PROBLEM

if TYPE_CHECKING:
    from cmr_hub.gallery.indexing.entry import Entry
    from cmr_hub.models.cross_modal import CrossModalModel

_BLOCK = 64
"""Number of pictures per task. They take half a second, which is more than the overhead of a
task."""
_FACTS = pa.struct(
    [*FACT_TYPES.items(), *((name, pa.string()) for name in (PICTURE_HASH, TEXT, TEXT_PROBLEM))]
)


class EncodingOnRay(Encoding):
    """Encodes with Ray Data in a pool of actors, one per core.

    The cluster is the one at `RAY_ADDRESS`, or a new one on this machine. The pictures must have
    the same paths on all machines. Pictures whose file was touched are encoded again, even if their
    content is unchanged.

    Args:
        model: a model with an image encoder.
        workers: maximum number of actors. Default: number of cores of the cluster.
        ocr: read the text in the pictures. All machines need RapidOCR.

    Raises:
        CMRError: the model cannot encode pictures.
    """

    def __init__(
        self, model: CrossModalModel, workers: int | None = None, *, ocr: bool = False
    ) -> None:
        # An exported network exists only on this machine.
        self.encoder, self.workers = image_encoder_of(model.image.movable), workers
        self.ocr = ocr

    def __exit__(self, *error: object) -> None:
        """Keep the cluster connected, because other code may use it."""

    def expect(self, count: int) -> None:
        """Do nothing, because the cluster is running, or starts when encoding begins."""

    def encoded(
        self, entries: Sequence[Entry], known: Container[str]
    ) -> Iterator[tuple[Entry, Encoded]]:
        """Implement `Encoding.encoded`. Also raises CMRError if Ray is not installed or fails."""
        if not entries:
            return
        ray, data = _ray()
        encoder = ray.put(self.encoder)
        max_actors = self.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        blocks = [
            _block(start, entries[start : start + _BLOCK])
            for start in range(0, len(entries), _BLOCK)
        ]
        done = data.from_arrow(blocks).map_batches(
            _Encoder,
            fn_constructor_args=(encoder, self.ocr),
            batch_format="pyarrow",
            batch_size=None,
            concurrency=(1, max_actors),
            num_cpus=1,
        )
        try:
            for batch in done.iter_batches(batch_size=None, batch_format="pyarrow"):
                for row in batch.to_pylist():
                    features = row["features"]
                    yield (
                        entries[row["number"]],
                        Encoded(
                            row["sha256"],
                            None if features is None else np.array(features, dtype=np.float32),
                            row["problem"],
                            row["facts"],
                        ),
                    )
        except ray.exceptions.RayError as error:
            raise CMRError(
                f"the cluster failed: {str(error).strip().splitlines()[-1]}. "
                "Indexed pictures are kept; run the command again to continue"
            ) from error


class _Encoder:
    """An actor that reads, decodes and encodes pictures."""

    def __init__(self, encoder: Any, ocr: bool) -> None:
        import ray
        import torch

        torch.set_num_threads(1)  # the cluster assigns one core to each actor
        self.encoder, self.ocr = ray.get(encoder), ocr

    def __call__(self, batch: pa.Table) -> pa.Table:
        places = [
            Place(Path(row["file"]), row["offset"], row["size"], row["time"], row["sha256"])
            for row in batch.to_pylist()
        ]
        pictures = decode(places, self.encoder.preprocessing, ocr=self.ocr)
        results = list(encoded(pictures, self.encoder))
        return pa.table(
            {
                "number": batch.column("number"),
                "sha256": pa.array([one.sha256 for one in results], pa.string()),
                "problem": pa.array([one.problem for one in results], pa.string()),
                "facts": pa.array([one.facts for one in results], _FACTS),
                "features": pa.array([one.features for one in results], pa.list_(pa.float32())),
            }
        )


def _ray() -> tuple[Any, Any]:
    """Connect to Ray and return the modules `ray` and `ray.data`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray prints errors when nodes die or actors start; failures raise exceptions anyway.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise CMRError("--cluster ray needs an extra: pip install 'cmr-hub[cluster]'") from error
    if not ray.is_initialized():
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise CMRError(f"cannot reach the Ray cluster: {error}") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # indexing shows another
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray, ray.data


def _block(start: int, entries: Sequence[Entry]) -> pa.Table:
    """Return a table of the places of entries, numbered from `start`."""
    return pa.table(
        {
            "number": pa.array(range(start, start + len(entries)), pa.int64()),
            "file": pa.array([str(entry.place.file) for entry in entries], pa.string()),
            "offset": pa.array([entry.place.offset for entry in entries], pa.int64()),
            "size": pa.array([entry.place.size for entry in entries], pa.int64()),
            "time": pa.array([entry.place.time for entry in entries], pa.float64()),
            "sha256": pa.array([entry.place.sha256 for entry in entries], pa.string()),
        }
    )
