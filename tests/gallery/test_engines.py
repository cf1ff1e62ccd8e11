"""What every engine must do: this process, in memory and on the disk, and a real Milvus server."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from milvus_process import TOKEN, MilvusProcess, can_be_secured
from pictures import picture

from cmr_hub.errors import QueryError
from cmr_hub.gallery.clear import Neutral
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing.index import index_folder
from cmr_hub.gallery.local import LocalStore
from cmr_hub.gallery.segment import Segment
from cmr_hub.gallery.store import Store
from cmr_hub.gallery.where import Where

ENGINES = ("memory", "disk", "milvus")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusProcess]:
    pytest.importorskip("pymilvus", reason="needs pip install 'cmr-hub[cluster]'")
    pytest.importorskip("milvus", reason="needs the server: pip install milvus==2.3.5")
    process = MilvusProcess(tmp_path_factory.mktemp("milvus"), secured=can_be_secured())
    yield process
    process.kill()


@pytest.fixture(scope="module")
def make_store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Store]:
    """`make_store(engine)`: an empty one."""

    def make(engine: str, model_id: str = "model-a") -> Store:
        if engine == "memory":
            return LocalStore(model_id, "default")
        if engine == "disk":
            return LocalStore.create(tmp_path_factory.mktemp("g") / "g", model_id, "default")
        from cmr_hub.gallery.milvus import MilvusStore
        from cmr_hub.gallery.milvus_server import MilvusAddress

        process = request.getfixturevalue("server")
        token = TOKEN if process.ca else ""
        address = MilvusAddress(process.uri, f"c{secrets.token_hex(4)}", token, process.ca)
        return MilvusStore(address, model_id, "default")

    return make


def reopened(store: Store) -> Store:
    """As another process sees it."""
    if isinstance(store, LocalStore):
        return store if store.directory is None else LocalStore.open(store.directory.path)
    return type(store)(store.address)


def part(gallery: Gallery, first: int, last: int) -> Segment:
    """Some rows of a gallery."""
    return gallery.store.rows([f"item-{i}" for i in range(first, last)])


@pytest.fixture(scope="module", params=[*ENGINES, "compacted"])
def changed(request, make_store, make_gallery) -> Gallery:
    """A gallery of 58 items that came and went."""
    store, gallery = make_store(request.param.replace("compacted", "disk")), make_gallery(60)
    assert (len(store), store.targets, store.dim) == (0, (), None)
    store.put(part(gallery, 0, 20))
    store.put(part(gallery, 10, 25))
    store.put(part(gallery, 25, 26))
    store.put(part(gallery, 26, 59))
    assert store.remove(["item-3", "item-30", "nobody"]) == 2
    store.put(part(gallery, 59, 60), replacing=["item-57"])
    store.put(part(gallery, 3, 4))
    store.put(part(gallery, 57, 58))
    assert store.remove(["item-59"]) == 1
    store.verify()
    if request.param == "compacted":
        store.compact()
        assert store.removed == 0
    store = reopened(store)
    store.verify()
    assert store.facts()
    return Gallery(store)


def test_what_came_and_went(changed: Gallery, gallery: Gallery) -> None:
    ids = changed.items["id"].to_pylist()
    assert sorted(ids) == sorted(f"item-{i}" for i in range(60) if i not in (30, 59))
    assert (len(changed), changed.dim, changed.targets) == (58, 12, ("image", "text"))
    assert (changed.model_id, changed.store.model_name) == ("model-a", "default")
    assert changed.store.vector_counts == {"image": 58, "text": 58}
    assert changed.store.known(["item-3", "item-30", "nobody", "item-5"]) == {"item-3", "item-5"}
    below = changed.store.table_below("/data/class-1")
    assert below.num_rows
    assert sorted(below["id"].to_pylist()) == sorted(
        row["id"] for row in changed.items.to_pylist() if "/class-1/" in (row["path"] or "")
    )
    before = {row["id"]: row for row in gallery.items.to_pylist()}
    assert changed.items.to_pylist() == [before[id_] for id_ in ids]
    query = np.random.default_rng(1).normal(size=12)
    for target in ("image", "text"):
        hits = gallery.search(query, 60, target)
        expected = [(hit.id, hit.score) for hit in hits if hit.id in set(ids)]
        assert [(hit.id, hit.score) for hit in changed.search(query, 60, target)] == expected
    assert changed.search_many([query, -query], 5)[1] == changed.search(-query, 5)


@pytest.mark.parametrize(
    "where",
    [
        "label = 'class-1'",
        "label <> 'class-1'",
        "NOT (label = 'class-1' AND year > 2003)",
        "year >= 2005 AND path IS NULL",
        "path IS NOT NULL AND (year < 2003 OR label IN ('class-1', 'class-2'))",
        "year NOT BETWEEN 2002 AND 2006",
        "label LIKE 'class%'",
        "label NOT LIKE 'class-1%'",
        "modality = 'pair'",
        "modality = 'text'",
    ],
)
def test_a_filter_is_applied_before_the_best_are_taken(
    changed: Gallery, gallery: Gallery, where: str
) -> None:
    """`gallery` has the same rows in memory; its masks are tested against plain loops."""
    gallery.remove(["item-30", "item-59"])
    ids = set(gallery.store.table(Where(where))["id"].to_pylist())
    assert set(changed.store.table(Where(where))["id"].to_pylist()) == ids
    query = np.random.default_rng(2).normal(size=12)
    expected = [hit.id for hit in gallery.search(query, 60) if hit.id in ids]
    for k, offset in ((3, 0), (60, 0), (4, 2)):
        found = changed.search(query, k, offset=offset, where=where)
        assert [hit.id for hit in found] == expected[offset : offset + k]
        assert [hit.rank for hit in found] == list(range(offset + 1, offset + 1 + len(found)))


def test_more_like_an_item(changed: Gallery, gallery: Gallery) -> None:
    expected = gallery.search(gallery.vectors("image")[7], 10)[1:]
    ids = [hit.id for hit in expected if hit.id not in ("item-30", "item-59")][:5]
    hits = changed.more_like("item-7", 5)
    assert [hit.id for hit in hits] == ids
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
    assert changed.more_like("item-7", 2, offset=3) == hits[3:]
    assert changed.explain(hits[0]).among == 58
    with pytest.raises(QueryError, match="no item 'nobody'"):
        changed.more_like("nobody")


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_of_one_modality_bursts_and_removal(make_store, gallery: Gallery, engine: str) -> None:
    rows = part(gallery, 0, 60)
    vectors = rows.vectors["image"].matrix.copy()
    vectors[:20] = vectors[0]
    shown, told = np.arange(50), np.arange(40, 60)
    column = type(rows.vectors["image"])
    texts = rows.vectors["text"].matrix
    store = make_store(engine)
    store.put(
        Segment(
            rows.items,
            {"image": column(vectors[:50], shown), "text": column(texts[40:], told)},
        )
    )
    some = Gallery(store)
    assert len(some) == 60
    assert some.store.vector_counts == {"image": 50, "text": 20}
    every = some.search(vectors[0], 60, "image")
    assert len(every) == 50
    assert len(some.search(vectors[0], 60, "text", where="modality = 'text'")) == 10
    assert some.search(vectors[0], target="image", where="modality = 'text'") == []
    assert {hit.id for hit in every[:20]} == {f"item-{i}" for i in range(20)}
    good = some.search(vectors[0], 60, "image", min_score=0.3)
    assert good == [hit for hit in every if hit.score >= 0.3]
    distinct = some.search(vectors[0], 60, "image", distinct=0.99)
    assert [hit.id for hit in distinct] == [every[0].id, *(hit.id for hit in every[20:])]
    assert some.search(vectors[0], 5, "image", distinct=0.99) == distinct[:5]
    assert some.search(vectors[0], 5, "image", 5, distinct=0.99) == distinct[5:10]
    # Item 45 was a pair and becomes a picture, item 55 a pair.
    store.put(
        Segment(
            rows.items.take([45, 55]),
            {"image": column.full(vectors[[45, 55]]), "text": column(texts[[55]], np.array([1]))},
        )
    )
    assert some.store.vector_counts == {"image": 51, "text": 19}
    gone = pc.sum(pc.less(gallery.items["year"], 2004)).as_py()
    assert some.remove(where="year < 2004") == gone
    assert some.remove(["item-8"], where="year = 2008") == 6
    assert len(some) == 54 - gone
    some.store.verify()
    assert some.remove(where="year > 0")
    assert len(some) == 0
    assert some.search(np.ones(12)) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_columns_are_replaced_and_vectors_stay(make_store, gallery: Gallery, engine: str) -> None:
    rows = part(gallery, 0, 30)
    store = make_store(engine)
    column = type(rows.vectors["image"])
    shown = np.arange(20)
    store.put(
        Segment(
            rows.items.slice(0, 20),
            {
                "image": column(rows.vectors["image"].matrix[:20], shown),
                "text": column(rows.vectors["text"].matrix[10:20], shown[10:]),
            },
        )
    )
    store.put(part(gallery, 20, 30))
    store.remove(["item-4"])
    before = {row["id"]: row for row in store.table().to_pylist()}
    ids = [f"item-{i}" for i in range(0, 30, 2)]
    for step in (1, 2):  # the second time they are there already
        names = [None if i % 3 == 0 else f"name {step}" for i in range(15)]
        store.set_columns(
            pa.table({"id": ids, "name": names, "label": names, "parts": [["a", "b"]] * 15})
        )
        store = reopened(store)
        store.verify()
        named = dict(zip(ids, names, strict=True))
        expected = [
            row
            | {
                "name": named.get(id_),
                "label": named.get(id_),
                "parts": ["a", "b"] if id_ in named else None,
            }
            for id_, row in before.items()
        ]
        found = store.table().to_pylist()
        assert sorted(found, key=lambda row: row["id"]) == sorted(
            expected, key=lambda row: row["id"]
        )
        assert store.vector_counts == {"image": 29, "text": 20}
    there = store.rows([f"item-{i}" for i in range(30)])
    for target in ("image", "text"):
        own = there.vectors[target]
        for place, vector in zip(own.rows, own.matrix, strict=True):
            number = int(there.items["id"][int(place)].as_py().removeprefix("item-"))
            np.testing.assert_array_equal(vector, gallery.vectors(target)[number])
    assert {row["id"] for row in store.table(Where("name = 'name 2'")).to_pylist()} == {
        id_ for id_, name in named.items() if name and id_ in before
    }


@pytest.mark.parametrize("engine", ENGINES)
def test_what_neutral_sentences_score_is_kept(engine: str, make_store, gallery: Gallery) -> None:
    store = make_store(engine)
    store.put(part(gallery, 0, 20))
    assert reopened(store).neutral is None
    rows = np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)
    neutral = Neutral.of_vectors(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    assert store.neutral is None
    store.keep_neutral(neutral)
    store.put(part(gallery, 20, 30))
    for seen in (store.neutral, reopened(store).neutral):
        assert np.array_equal(seen.mean, neutral.mean)
        assert np.array_equal(seen.factor, neutral.factor)
    found = Gallery(reopened(store)).search(rows[0], 3, "image", query_modality="text")
    assert all(isinstance(hit.z, float) for hit in found)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_column_becomes_text_in_rows_of_every_folder(engine, make_store, model, tmp_path) -> None:
    gallery = Gallery(make_store(engine, model.fingerprint), model)
    years = {"a": [2020, 2021], "b": [2022]}
    for number, (folder, values) in enumerate(years.items()):
        for year in values:
            path = picture(tmp_path / folder / f"{year}.png", year + number)
            path.with_suffix(".json").write_text(json.dumps({"text": "x", "year": year}))
        index_folder(gallery, tmp_path / folder)
    (tmp_path / "a" / "2020.json").write_text('{"text": "x", "year": "unknown"}')
    summary = index_folder(gallery, tmp_path / "a")
    assert (summary.updated, summary.unchanged, len(summary.told)) == (1, 1, 1)
    store = reopened(gallery.store)
    assert sorted(store.table()["year"].to_pylist()) == ["2021", "2022", "unknown"]
    assert len(store.table(Where("year = 'unknown' OR year = '2022'"))) == 2
    assert index_folder(gallery, tmp_path / "b").unchanged == 1
