"""Pictures of entries become features on the machines of a Ray cluster.

The same actors run on one machine and on many. Ray does again what a machine that fails has not
finished. The gallery has one writer all the same: what is encoded comes back to the process that
started the run, which decides what is new, moved or gone and writes it, as without a cluster.
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

if TYPE_CHECKING:
    from cmr_hub.gallery.indexing.entry import Entry
    from cmr_hub.models.cross_modal import CrossModalModel

_BLOCK = 64
"""Pictures in a task: half a second of work, more than a task costs."""


class EncodingOnRay(Encoding):
    """Ray Data reads, decodes and encodes in a pool of actors, one a core.

    The cluster is the one that Ray finds: where `RAY_ADDRESS` says, else a new one on this machine.
    The pictures must be under the same paths on all machines. What is known already is encoded
    again if its file was touched.

    Args:
        model: with the image encoder.
        workers: actors at most; default the cores of the cluster.

    Raises:
        CMRError: the model cannot encode pictures.
    """

    def __init__(self, model: CrossModalModel, workers: int | None = None) -> None:
        # An export lies on this machine only.
        self.encoder, self.workers = image_encoder_of(model.image.movable), workers

    def __exit__(self, *error: object) -> None:
        """The cluster stays connected: others may use it."""

    def expect(self, count: int) -> None:
        """A cluster is there already, or nothing goes on while it starts."""

    def encoded(
        self, entries: Sequence[Entry], known: Container[str]
    ) -> Iterator[tuple[Entry, Encoded]]:
        """See `Encoding`; Ray may also not be installed, or the cluster not go on."""
        if not entries:
            return
        ray, data = _ray()
        encoder = ray.put(self.encoder)
        most = self.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        blocks = [
            _places(start, entries[start : start + _BLOCK])
            for start in range(0, len(entries), _BLOCK)
        ]
        done = data.from_arrow(blocks).map_batches(
            _Encoder,
            fn_constructor_args=(encoder,),
            batch_format="pyarrow",
            batch_size=None,
            concurrency=(1, most),
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
                        ),
                    )
        except ray.exceptions.RayError as error:
            raise CMRError(
                f"the cluster cannot go on: {str(error).strip().splitlines()[-1]}. "
                "What was indexed before is kept"
            ) from error


class _Encoder:
    """An actor that turns places of pictures into features."""

    def __init__(self, encoder: Any) -> None:
        import ray
        import torch

        torch.set_num_threads(1)  # one core each is what the cluster has given
        self.encoder = ray.get(encoder)

    def __call__(self, batch: pa.Table) -> pa.Table:
        places = [Place(Path(row["file"]), row["offset"], row["size"]) for row in batch.to_pylist()]
        found = list(encoded(decode(places, self.encoder.preprocessing), self.encoder))
        return pa.table(
            {
                "number": batch.column("number"),
                "sha256": pa.array([one.sha256 for one in found], pa.string()),
                "problem": pa.array([one.problem for one in found], pa.string()),
                "features": pa.array([one.features for one in found], pa.list_(pa.float32())),
            }
        )


def _ray() -> tuple[Any, Any]:
    """Ray, connected, and its `data`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Else it prints an error where a node dies and where actors start; what matters is raised.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
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
