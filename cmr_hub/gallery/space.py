"""Convert a gallery to a space of image and text vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cmr_hub.errors import QueryError
from cmr_hub.experiments.space import Space, SpaceItem

if TYPE_CHECKING:
    from cmr_hub.gallery.store import Store
    from cmr_hub.training.snapshots import Stages

Snapshots = tuple[Sequence[str], "Stages"]


def space_of(
    store: Store, snapshots: Snapshots | None = None, max_vectors: int | None = None
) -> Space:
    """Return the items of a store with their vectors.

    Args:
        store: store of a gallery.
        max_vectors: approximate maximum number of vectors; of a larger gallery, a random sample of
            the items is returned, the same in every call.
        snapshots: ids of pairs and their vectors by epoch, as saved by training. They become
            stages if the pairs are exactly the items with both vectors.

    Raises:
        QueryError: the store has no vectors.
    """
    ids = store.table().column("id")
    count = len(ids)
    vectors = sum(store.vector_counts.values())
    if max_vectors is not None and vectors > max_vectors:
        # The stream of RandomState is frozen; that of numpy's Generator may change.
        shuffled = np.random.RandomState(0).permutation(count)
        ids = ids.take(pa.array(np.sort(shuffled[: count * max_vectors // vectors])))
    rows = store.rows(ids.to_pylist())
    width = next((column.matrix.shape[1] for column in rows.vectors.values()), None)
    if width is None:
        raise QueryError("this gallery has no vectors: there is nothing to show")
    nothing = np.empty((0, width), np.float32), np.empty(0, np.int64)
    (images, image_rows), (texts, text_rows) = (
        (np.asarray(rows.vectors[name].matrix, np.float32), rows.vectors[name].rows)
        if name in rows.vectors
        else nothing
        for name in ("image", "text")
    )
    items = tuple(
        SpaceItem(
            item["id"],
            item["label"],
            None if item["path"] is None else Path(item["path"]),
            tuple(item["sentences"] or ()),
        )
        for item in rows.items.select(["id", "label", "path", "sentences"]).to_pylist()
    )
    stages: Stages = {}
    epoch = 0
    if snapshots is not None and np.array_equal(image_rows, text_rows):
        positions = {id_: position for position, id_ in enumerate(snapshots[0])}
        order = [positions.get(items[row].id, -1) for row in image_rows]
        if -1 not in order and len(order) == len(positions) and snapshots[1]:
            epoch = max(snapshots[1])
            stages = {
                number: (pair[0][order], pair[1][order])
                for number, pair in snapshots[1].items()
                if number < epoch
            }
    return Space(images, texts, image_rows, text_rows, items, stages, epoch, n_items=count)


def labelled_by(space: Space, table: pa.Table, column: str) -> Space:
    """Return the same space with labels from another column.

    Args:
        space: space of a gallery.
        table: items of that gallery.
        column: a text column. Items with null, or without a row, get no label.
    """
    ids, labels = table.column("id").to_pylist(), table.column(column).to_pylist()
    label_by_id = dict(zip(ids, labels, strict=True))
    return replace(
        space, items=tuple(replace(item, label=label_by_id.get(item.id)) for item in space.items)
    )
