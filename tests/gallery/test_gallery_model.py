"""A gallery is a dictionary: whatever is done to it, in whatever order, it says what one says."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cmr_hub.errors import QueryError
from cmr_hub.gallery import graph as graphs
from cmr_hub.gallery import local, nearest
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item, items_table
from cmr_hub.gallery.local import LocalStore
from cmr_hub.gallery.vectors import VectorColumn

DIM = 6
# Few names, so that they meet again.
IDS = st.sampled_from([f"i{n}" for n in range(12)])
LABELS = st.sampled_from([None, "dog", "cat", "it's"])
YEARS = st.sampled_from([None, 1999, 2008, 2020])
CONDITIONS = {
    "label = 'dog'": lambda row: row["label"] == "dog",
    "label <> 'it''s'": lambda row: row["label"] not in (None, "it's"),
    "year >= 2008": lambda row: row["year"] is not None and row["year"] >= 2008,
    "label IS NULL OR year IS NULL": lambda row: row["label"] is None or row["year"] is None,
    "NOT (year = 2008)": lambda row: row["year"] not in (None, 2008),
    "id IN ('i1', 'i2', 'i3')": lambda row: row["id"] in ("i1", "i2", "i3"),
    "modality = 'pair'": lambda row: len(row["vectors"]) == 2,
    "modality = 'text'": lambda row: set(row["vectors"]) == {"text"},
}


def vector(seed: int) -> np.ndarray:
    row = np.random.default_rng(seed).normal(size=DIM)
    return (row / np.linalg.norm(row)).astype(np.float32)


ROW = st.fixed_dictionaries(
    {
        "id": IDS,
        "label": LABELS,
        "year": YEARS,
        "words": st.lists(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=2
        ),
        "vectors": st.dictionaries(
            st.sampled_from(["image", "text"]), st.integers(0, 40), min_size=1
        ),
    }
)


class GalleryMachine(RuleBasedStateMachine):
    """The gallery beside `self.rows`, a plain dictionary by id in the order of arrival."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name) / "gallery"
        self.rows: dict[str, dict[str, Any]] = {}

    @initialize(on_disk=st.booleans())
    def create(self, on_disk: bool) -> None:
        store = LocalStore.create(self.path, "m") if on_disk else LocalStore("m")
        self.gallery = Gallery(store)
        self.on_disk = on_disk

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(rows=st.lists(ROW, min_size=1, max_size=6, unique_by=lambda row: row["id"]))
    def put(self, rows: list[dict[str, Any]]) -> None:
        """Adds, and replaces what is there."""
        table = items_table(
            Item(
                row["id"],
                Path("/pictures") / row["id"] if "image" in row["vectors"] else None,
                tuple(row["words"]),
                row["label"],
                {"year": row["year"], "x": row["id"]},
            )
            for row in rows
        )
        self.gallery.add_vectors(
            table,
            image_embeddings=column(rows, "image"),
            text_embeddings=column(rows, "text"),
        )
        for row in rows:
            self.rows.pop(row["id"], None)
        self.rows |= {row["id"]: row for row in rows}

    @rule(ids=st.lists(IDS, max_size=4))
    def remove(self, ids: list[str]) -> None:
        gone = [id_ for id_ in dict.fromkeys(ids) if self.rows.pop(id_, None) is not None]
        assert self.gallery.remove(ids) == len(gone)

    @rule(condition=st.sampled_from(sorted(CONDITIONS)))
    def remove_where(self, condition: str) -> None:
        gone = [id_ for id_, row in self.rows.items() if self.passes(condition, row)]
        for id_ in gone:
            del self.rows[id_]
        try:
            assert self.gallery.remove(where=condition) == len(gone)
        except QueryError as error:
            # Before the first row there is no column but the known ones.
            assert not gone and "no column" in str(error)  # noqa: PT017, PT018

    @rule()
    def reopen(self) -> None:
        if self.on_disk:
            self.gallery = Gallery.open(self.path)

    @rule()
    def compact(self) -> None:
        self.gallery.store.compact()
        assert self.gallery.store.removed == 0

    @rule()
    def optimise(self) -> None:
        self.gallery.store.optimise()

    @rule()
    def copy(self) -> None:
        if self.on_disk:
            self.gallery.save(Path(self.folder.name) / "copy")
            copied = Gallery.open(Path(self.folder.name) / "copy")
            assert copied.items.equals(self.gallery.items)
            copied.store.verify()

    @rule(
        seed=st.integers(0, 60),
        k=st.integers(1, 15),
        offset=st.integers(0, 3),
        side=st.sampled_from(["image", "text"]),
        condition=st.none() | st.sampled_from(sorted(CONDITIONS)),
    )
    def search(self, seed: int, k: int, offset: int, side: str, condition: str | None) -> None:
        query = vector(seed)
        there = [row for row in self.rows.values() if side in row["vectors"]]
        if self.rows and not there:
            return  # refused, in words
        scores = {
            row["id"]: float(vector(row["vectors"][side]).astype(float) @ query.astype(float))
            for row in there
            if condition is None or self.passes(condition, row)
        }
        hits = self.gallery.search(query, k, side, offset, where=condition)
        wanted = sorted(scores.values(), reverse=True)[offset : offset + k]
        np.testing.assert_allclose([hit.score for hit in hits], wanted, atol=1e-6)
        assert len({hit.id for hit in hits}) == len(hits)
        for rank, hit in enumerate(hits, offset + 1):
            assert hit.rank == rank
            assert hit.score == pytest.approx(scores[hit.id], abs=1e-6)
            assert hit.label == self.rows[hit.id]["label"]

    @invariant()
    def says_what_the_dictionary_says(self) -> None:
        if not hasattr(self, "gallery"):
            return
        found = self.gallery.items.to_pylist()
        assert sorted(row["id"] for row in found) == sorted(self.rows)
        for row in found:
            mine = self.rows[row["id"]]
            assert row["label"] == mine["label"]
            assert row["sentences"] == mine["words"]
            assert row["x"] == row["id"]
            assert row.get("year") == mine["year"]
            assert (row["path"] is not None) == ("image" in mine["vectors"])
        assert len(self.gallery) == len(self.rows)
        counts = {
            target: sum(target in row["vectors"] for row in self.rows.values())
            for target in ("image", "text")
        }
        assert self.gallery.store.vector_counts == {k: v for k, v in counts.items() if v}
        self.gallery.store.verify()

    def passes(self, condition: str, row: dict[str, Any]) -> bool:
        return CONDITIONS[condition](row)


def column(rows: list[dict[str, Any]], target: str) -> VectorColumn | None:
    have = [n for n, row in enumerate(rows) if target in row["vectors"]]
    if not have:
        return None
    matrix = np.stack([vector(rows[n]["vectors"][target]) for n in have])
    return VectorColumn(matrix, np.array(have))


class GraphMachine(GalleryMachine):
    """The same with a graph from the fifth vector on."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(local, "EXACT_LIMIT", 4)
        self.patch.setattr(local, "TAIL_LIMIT", 1)
        self.patch.setattr(nearest, "SCAN_LIMIT", 2)
        self.patch.setattr(graphs, "EF_SEARCH", 64)

    def teardown(self) -> None:
        self.patch.undo()
        super().teardown()


few = settings(max_examples=max(6, settings.default.max_examples // 4), stateful_step_count=20)
TestGallery = GalleryMachine.TestCase
TestGallery.settings = few
TestGalleryWithGraph = GraphMachine.TestCase
TestGalleryWithGraph.settings = few
