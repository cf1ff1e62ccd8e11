"""One type for each column, also in the rows that a gallery has already."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmr_hub.datasets.report import ReadReport
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing.columns import settled
from cmr_hub.gallery.indexing.entry import Entry, Place
from cmr_hub.gallery.items import Item, items_table


def stored(*values: object) -> Gallery:
    items = [
        Item(str(number), Path(f"/a/{number}.jpg"), metadata={"own": value})
        for number, value in enumerate(values)
    ]
    vectors = np.eye(4)[: len(values)]
    return Gallery.from_vectors(items_table(items), image_embeddings=vectors, model_id="m")


def entries(*values: object) -> list[Entry]:
    path = Path("/a/x.jpg")
    return [Entry(path, Place(path), 1, 1, "", (), None, {"own": value}) for value in values]


@pytest.mark.parametrize(
    ("before", "now", "rows", "found"),
    [
        ([2020], ["unknown"], ["2020"], ["unknown"]),
        ([2020, None], ["2020"], ["2020", None], ["2020"]),
        ([2020.0, 0.5], ["x"], ["2020", "0.5"], ["x"]),
        ([True], [1], ["True"], ["1"]),
        ([1], [True, 2.5], ["1"], ["True", "2.5"]),
        ([["a", "b"]], ["x"], ['["a", "b"]'], ["x"]),
        (["x"], [1, 2.0], ["x"], ["1", "2"]),
        ([1], [2.5], [1], [2.5]),
        ([1.5], [2], [1.5], [2.0]),
        ([None], [2], [None], [2]),
    ],
)
def test_a_column_of_several_types_is_text(before, now, rows, found) -> None:
    gallery, report = stored(*before), ReadReport()
    result, table = settled(entries(*now), gallery.store.table(), gallery.store, report)
    assert [entry.metadata["own"] for entry in result] == found
    assert [type(entry.metadata["own"]) for entry in result] == list(map(type, found))
    assert table.equals(gallery.store.table())
    assert table["own"].to_pylist() == rows
    assert len(report) == (type(before[0]) is not str and type(found[0]) is str)


def test_types_that_differ_in_one_run_are_told() -> None:
    gallery, report = stored(), ReadReport()
    result, _ = settled(entries(1, "x"), gallery.store.table(), gallery.store, report)
    assert [entry.metadata["own"] for entry in result] == ["1", "x"]
    assert [problem.detail for problem in report] == [
        "the column 'own' has values of several types and is now text"
    ]
