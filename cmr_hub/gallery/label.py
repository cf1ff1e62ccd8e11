"""Compute zero-shot labels for the pictures of a gallery from the stored vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from tqdm import tqdm

from cmr_hub.datasets.metadata import is_clean
from cmr_hub.errors import QueryError, shown
from cmr_hub.gallery.items import (
    COLUMNS,
    MODALITY,
    RESERVED,
    ZERO_SHOT_COLUMNS,
    probability_column,
)
from cmr_hub.models.zero_shot import class_probabilities, class_vectors, softmax_temperature

if TYPE_CHECKING:
    from cmr_hub.gallery.store import Store
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.types import FloatArray

COLUMN = "zero_shot"
_ROWS = 8192
_CELLS = 2**22
_REFUSED = {*COLUMNS, *RESERVED, MODALITY} - {"label"}


def zero_shot_columns(table: pa.Table) -> list[str]:
    """Return the zero-shot label columns of a table, without the probability columns."""
    written = {name for names in _written(table) for name in names}
    return [name for name in table.column_names if name in written]


def label_store(
    store: Store,
    model: CrossModalModel,
    names: Sequence[str],
    *,
    template: str | Sequence[str],
    column: str,
    min_probability: float | None,
    temperature: float | None,
    progress: bool,
) -> dict[str | None, int]:
    """Label all pictures of a gallery in one commit; see `Gallery.label`.

    Existing values of the columns are replaced. Indexing keeps the labels of unchanged pictures;
    new rows get null.

    Raises:
        QueryError: there are no picture vectors, or a name, a template or the column is invalid;
            nothing is changed.
        UnknownWordsError: the model knows no word of a name.
        GalleryInUseError: another process is writing to the gallery.
    """
    names = list(names) if not isinstance(names, str) else names
    if min_probability is not None and not 0 <= min_probability <= 1:
        raise QueryError(
            f"the minimum probability must be between 0 and 1, not {shown(min_probability)}"
        )
    scale = softmax_temperature(model, temperature)
    classes = class_vectors(model, names, template)
    with store.writing():
        table = store.table()
        _refuse_column(column, table)
        ids = table.column("id").to_pylist()
        best: dict[str, tuple[int, float]] = {}
        with tqdm(
            total=len(ids), desc="labelling", unit="item", disable=None if progress else True
        ) as bar:
            for start in range(0, len(ids), _ROWS):
                part = ids[start : start + _ROWS]
                best |= _best(store, part, classes, scale)
                bar.update(len(part))
        if not best:
            raise QueryError("this gallery has no picture vectors: there is nothing to label")
        threshold = min_probability or 0.0
        labels = [
            None if id_ not in best or best[id_][1] < threshold else names[best[id_][0]]
            for id_ in ids
        ]
        probabilities = [best[id_][1] if id_ in best else None for id_ in ids]
        written = [sorted({*before, column}) for before in _written(table)]
        store.set_columns(
            pa.table(
                {
                    "id": table.column("id"),
                    column: pa.array(labels, pa.string()),
                    probability_column(column): pa.array(probabilities, pa.float64()),
                    ZERO_SHOT_COLUMNS: pa.array(written, pa.list_(pa.string())),
                }
            )
        )
    counts: Counter[str | None] = Counter(dict.fromkeys(names, 0))
    counts.update(name for name, id_ in zip(labels, ids, strict=True) if id_ in best)
    return dict(counts.most_common())


def _best(
    store: Store, ids: Sequence[str], classes: FloatArray, temperature: float
) -> dict[str, tuple[int, float]]:
    """Return the index and probability of the best class by id, for items with a picture."""
    rows = store.rows(ids)
    if "image" not in rows.vectors:
        return {}
    column = rows.vectors["image"]
    row_ids = rows.items.column("id").to_pylist()
    best = {}
    size = max(1, _CELLS // len(classes))
    for start in range(0, len(column), size):
        block = slice(start, start + size)
        probabilities = class_probabilities(column.matrix[block], classes, temperature)
        top = zip(probabilities.argmax(axis=1), probabilities.max(axis=1), strict=True)
        for row, (index, probability) in zip(column.rows[block], top, strict=True):
            best[row_ids[row]] = (int(index), float(probability))
    return best


def _written(table: pa.Table) -> list[list[str]]:
    """Return the names of the columns with zero-shot labels of each row."""
    if ZERO_SHOT_COLUMNS not in table.column_names:
        return [[] for _ in range(len(table))]
    return [names or [] for names in table.column(ZERO_SHOT_COLUMNS).to_pylist()]


def _refuse_column(column: Any, table: pa.Table) -> None:
    if not isinstance(column, str) or not column.strip() or not is_clean(column):
        raise QueryError(f"{shown(column)} is not a valid column name")
    written = {name for labels in _written(table) for name in labels}
    allowed_by_name = {
        column: {*written, "label"},
        probability_column(column): map(probability_column, written),
    }
    for name, allowed in allowed_by_name.items():
        if name in _REFUSED:
            raise QueryError(f"the column {shown(name)} is reserved: choose another name")
        if name in table.column_names and name not in allowed:
            raise QueryError(
                f"the gallery has a column {shown(name)} from another source: choose another name"
            )
