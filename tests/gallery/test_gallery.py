from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cmr_hub.errors import ModelFormatError, QueryError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item, items_table
from cmr_hub.gallery.query import Mix
from cmr_hub.gallery.vectors import VectorColumn
from cmr_hub.hit import Hit
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.projector import Projector
from cmr_hub.models.towers import ImageTower, TextTower


def unit_rows(seed: int, *shape: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=shape)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def table(count: int) -> pa.Table:
    return items_table(
        Item(
            id=f"item-{i}",
            path=None if i % 7 == 3 else Path(f"/data/class-{i % 3}/{i}.jpg"),
            sentences=tuple(f"sentence {i} {j}" for j in range(i % 4)),
            label=None if i % 5 == 2 else f"class-{i % 3}",
            metadata={"year": 2000 + i % 9},
        )
        for i in range(count)
    )


def loop_search(rows: np.ndarray, vector: np.ndarray) -> list[tuple[int, float]]:
    """All rows, best first, ties by row number."""
    query = vector.astype(np.float64) / np.linalg.norm(vector.astype(np.float64))
    scores = [float((row.astype(np.float64) * query).sum()) for row in rows]
    return sorted(enumerate(scores), key=lambda pair: (-pair[1], pair[0]))


def rows_of(hits: list[Hit]) -> list[int]:
    return [int(hit.id.removeprefix("item-")) for hit in hits]


@pytest.mark.parametrize(("count", "dim"), [(1, 3), (5, 2), (60, 12), (700, 31)])
@pytest.mark.parametrize("target", ["image", "text"])
def test_search_is_the_plain_loop(count: int, dim: int, target: str) -> None:
    gallery = Gallery.from_vectors(
        table(count),
        image_embeddings=unit_rows(3, count, dim),
        text_embeddings=unit_rows(4, count, dim),
        model_id="m",
    )
    random = np.random.default_rng(5)
    for k, offset in ((1, 0), (3, 0), (10, 7), (count, 0), (10 * count, 0), (2, count - 1)):
        vector = random.normal(size=dim) * random.uniform(0.01, 100)
        expected = loop_search(gallery.vectors(target), vector)[offset : offset + k]
        hits = gallery.search(vector, k, target, offset)
        assert rows_of(hits) == [row for row, _ in expected]
        np.testing.assert_allclose([hit.score for hit in hits], [score for _, score in expected])
        assert [hit.rank for hit in hits] == list(range(offset + 1, offset + 1 + len(expected)))


@pytest.mark.parametrize("distinct", [1, 4, 40])
def test_repeated_rows_come_in_the_order_of_the_gallery(distinct: int) -> None:
    # More copies of a row than are asked for or fetched as spare, in any batch.
    source = np.random.default_rng(6).integers(distinct, size=500)
    rows = unit_rows(7, distinct, 37)[source]
    gallery = Gallery.from_vectors(table(500), image_embeddings=rows, model_id="m")
    vectors = unit_rows(8, 40, 37)
    for k, offset in ((1, 0), (30, 0), (30, 30), (30, 465)):
        many = gallery.search_many(vectors, k, offset=offset)
        for vector, hits in zip(vectors, many, strict=True):
            expected = loop_search(rows, vector)[offset : offset + k]
            assert rows_of(hits) == [row for row, _ in expected]
            assert hits == gallery.search(vector, k, offset=offset)


def test_scores_nearer_than_float32_can_tell_are_put_in_order() -> None:
    # All rows within a hair of the query: FAISS alone gets their order wrong.
    base = unit_rows(9, 64).astype(np.float64)
    rows = base + 1e-5 * np.random.default_rng(10).normal(size=(400, 64))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    gallery = Gallery.from_vectors(table(400), image_embeddings=rows, model_id="m")
    expected = [row for row, _ in loop_search(rows, base)]
    for k in (1, 10, 100, 400):
        assert rows_of(gallery.search(base, k)) == expected[:k]


def test_pages_neither_repeat_nor_skip(gallery: Gallery) -> None:
    vector = unit_rows(11, 12)
    whole = gallery.search(vector, 100)
    assert len(whole) == 60
    pages = [gallery.search(vector, 7, offset=offset) for offset in range(0, 63, 7)]
    assert [hit for page in pages for hit in page] == whole
    assert gallery.search(vector, 7, offset=60) == gallery.search(vector, 7, offset=1000) == []


def test_a_hit_says_all_that_is_known(gallery: Gallery) -> None:
    for row in (3, 2, 5):
        hit = gallery.search(gallery.vectors("text")[row], 1, "text")[0]
        assert hit == Hit(
            rank=1,
            id=f"item-{row}",
            score=hit.score,
            file=None if row == 3 else f"/data/class-{row % 3}/{row}.jpg",
            sentences=tuple(f"sentence {row} {j}" for j in range(row % 4)),
            label=None if row == 2 else f"class-{row % 3}",
            metadata={"year": 2000 + row},
        )
        assert hit.path == (None if row == 3 else Path(f"/data/class-{row % 3}/{row}.jpg"))
        names = ["rank", "id", "score", "path", "sentences", "label", "metadata", "z"]
        assert list(hit.record()) == [*names, "duplicates", "text"]
        assert hit.record()["path"] == hit.file
        assert hit.score == pytest.approx(1, abs=1e-6)
        assert hit.score <= 1
        assert type(hit.score) is float


def test_a_gallery_of_images_only(tmp_path: Path) -> None:
    gallery = Gallery.from_vectors(table(5), image_embeddings=unit_rows(12, 5, 4), model_id="m")
    assert gallery.targets == ("image",)
    with pytest.raises(QueryError, match="no text vectors; search target='image'"):
        gallery.search(np.ones(4), target="text")
    gallery.save(tmp_path / "g")
    assert Gallery.open(tmp_path / "g").targets == ("image",)


def test_an_empty_gallery_finds_nothing(tmp_path: Path) -> None:
    Gallery.from_vectors(items_table([]), text_embeddings=np.zeros((0, 4)), model_id="m").save(
        tmp_path / "g"
    )
    gallery = Gallery.open(tmp_path / "g")
    assert len(gallery) == 0
    assert gallery.search(np.ones(4), target="text") == []
    assert gallery.search_many(np.ones((3, 4)), target="text") == [[], [], []]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k must be 1 or more"),
        ({"offset": -1}, "offset 0 or more"),
        ({"target": "sound"}, "target must be 'image' or 'text'"),
        ({"query": np.ones(13)}, "12 dimensions.*another model"),
        ({"query": np.ones((2, 12))}, "not ndarray of shape"),
        ({"query": np.zeros(12)}, "zero"),
        ({"query": np.full(12, np.nan)}, "non-finite"),
        ({"query": np.full(12, -np.inf)}, "non-finite"),
    ],
)
def test_what_cannot_be_searched(gallery: Gallery, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(QueryError, match=message):
        gallery.search(**{"query": np.ones(12), **arguments})
    assert gallery.search_many(np.ones((0, 12))) == []
    for page in ({"k": 0}, {"offset": -1}):
        with pytest.raises(QueryError, match="k must be 1 or more"):
            gallery.more_like("item-1", **page)


def test_an_item_without_vectors_is_like_nothing() -> None:
    some = VectorColumn(unit_rows(1, 2, 4), np.array([0, 1]))
    gallery = Gallery.from_vectors(table(3), image_embeddings=some, model_id="m")
    with pytest.raises(QueryError, match="'item-2' has no vector"):
        gallery.more_like("item-2")


def test_a_least_score_ends_the_hunt_for_distinct_hits(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    search = gallery.store.search

    def counted(queries: Any, count: int, *rest: Any) -> Any:
        counts.append(count)
        return search(queries, count, *rest)

    monkeypatch.setattr(gallery.store, "search", counted)
    hits = gallery.search(np.ones(12), 10)
    assert gallery.search(np.ones(12), 10, min_score=hits[4].score, distinct=1.1) == hits[:5]
    assert counts == [10, 10]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_embeddings": None, "text_embeddings": None}, "needs image_embeddings"),
        ({"image_embeddings": unit_rows(1, 9, 4)}, "9 image vectors for 10 items"),
        ({"text_embeddings": unit_rows(1, 10, 5)}, "have different dimensions"),
        ({"image_embeddings": np.ones(10)}, "items, dimensions"),
        ({"image_embeddings": 1.01 * unit_rows(1, 10, 4)}, "10 of 10 image vectors.*length 1.01"),
        ({"image_embeddings": np.full((10, 4), np.nan)}, "length nan"),
        ({"image_embeddings": np.zeros((10, 4))}, "first is row 0, with length 0"),
    ],
)
def test_what_cannot_be_a_gallery(changes: dict[str, Any], message: str) -> None:
    rows = {"image_embeddings": unit_rows(1, 10, 4), "text_embeddings": unit_rows(2, 10, 4)}
    with pytest.raises(ModelFormatError, match=message):
        Gallery.from_vectors(table(10), model_id="m", **{**rows, **changes})


def test_save_and_open_are_the_identity(gallery: Gallery, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "gallery"
    gallery.save(folder)
    names = {re.sub("-[0-9a-f]{16}", "", path.name) for path in folder.glob("[!.]*")}
    assert names == {"items.parquet", "vectors.safetensors", "manifest.json"}
    again = Gallery.open(
        folder, SimpleNamespace(fingerprint="model-a", without_slot=lambda queries, target: queries)
    )
    assert again.items.equals(gallery.items)
    assert again.model_id == "model-a"
    for target in ("image", "text"):
        assert again.vectors(target).dtype == np.float32
        np.testing.assert_array_equal(again.vectors(target), gallery.vectors(target))
    vectors = unit_rows(13, 5, 12)
    assert again.search_many(vectors, 9, "text") == gallery.search_many(vectors, 9, "text")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["dim"], manifest["count"]) == (12, 60)
    assert manifest["segments"][0]["root"] == "/data"


def test_saving_over_a_gallery_replaces_it(gallery: Gallery, tmp_path: Path) -> None:
    gallery.save(tmp_path / "g")
    Gallery.from_vectors(table(2), image_embeddings=unit_rows(1, 2, 3), model_id="b").save(
        tmp_path / "g"
    )
    assert Gallery.open(tmp_path / "g").model_id == "b"
    assert [path.name for path in tmp_path.iterdir()] == ["g"]
    assert len(list((tmp_path / "g").glob("[!.]*"))) == 3


def test_saving_never_replaces_what_is_not_a_gallery(gallery: Gallery, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    gallery.save(pictures)  # empty, so nothing is lost
    other = tmp_path / "other"
    other.mkdir()
    (other / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(ModelFormatError, match="not a gallery"):
        gallery.save(other)
    with pytest.raises(ModelFormatError, match="not a gallery"):
        gallery.save(other / "holiday.jpg")
    assert (other / "holiday.jpg").read_bytes() == b"mine"


def test_pictures_that_moved_are_found_again(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.save(tmp_path / "g")
    monkeypatch.chdir(tmp_path)
    moved = Gallery.open(tmp_path / "g", root="pictures")
    vector = gallery.vectors("image")[11]
    assert gallery.search(vector, 1)[0].path == Path("/data/class-2/11.jpg")
    assert moved.search(vector, 1)[0].path == tmp_path / "pictures" / "class-2" / "11.jpg"


def test_vectors_of_another_model_are_refused(gallery: Gallery, tmp_path: Path) -> None:
    gallery.save(tmp_path / "g")
    other = SimpleNamespace(fingerprint="model-b")
    with pytest.raises(ModelFormatError, match="'model-a', not of 'model-b'"):
        Gallery.open(tmp_path / "g", other)


def test_no_gallery_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "nowhere", tmp_path, tmp_path / "file"):
        with pytest.raises(ModelFormatError, match="not a gallery"):
            Gallery.open(path)


def test_opening_imports_no_engine(gallery: Gallery, tmp_path: Path) -> None:
    gallery.save(tmp_path / "g")
    script = """
import sys
from cmr_hub.gallery.gallery import Gallery
Gallery.open(sys.argv[1])
assert not {"faiss", "torch"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "g")], check=True, timeout=60)


def test_the_first_answer_does_not_wait_for_pandas(gallery: Gallery, tmp_path: Path) -> None:
    gallery.save(tmp_path / "g")
    script = f"""
import sys
from cmr_hub.gallery.gallery import Gallery
found = Gallery.open(sys.argv[1])
assert found.search([1.0] * {gallery.dim}) and len(found.store.table_below("/data"))
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "g")], check=True, timeout=60)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.int64, np.uint64])
def test_whole_numbers_of_numpy(gallery: Gallery, kind: type) -> None:
    """None of them goes round: 1 less than the largest, and more than that."""
    query = np.ones(12)
    most = kind(min(np.iinfo(kind).max, 2**20))
    expected = [hit.id for hit in gallery.search(query, 60)]
    assert [hit.id for hit in gallery.search(query, most)] == expected
    assert [hit.id for hit in gallery.search(query, most, offset=kind(50))] == expected[50:]
    assert len(gallery.more_like("item-0", most)) == len(gallery.more_like("item-0", 60))
    assert len(gallery.search_many(query[None], kind(3))[0]) == 3
    assert type(gallery.search(query, kind(3))[0].rank) is int


@pytest.mark.parametrize("value", [3.0, "3", None, float("nan"), [3], np.float32(3)])
def test_what_is_no_whole_number(gallery: Gallery, value: object) -> None:
    for options in ({"k": value}, {"offset": value}):
        with pytest.raises(QueryError, match="must be an integer"):
            gallery.search(np.ones(12), **options)


@pytest.mark.parametrize("value", ["3", [3], float("nan"), 10**400, np.ones(2), b"1"])
def test_what_is_no_number(gallery: Gallery, value: object) -> None:
    for name in ("min_score", "distinct", "clear"):
        with pytest.raises(QueryError, match=f"^{name} must be a finite number, not .{{1,100}}$"):
            gallery.search(np.ones(12), **{name: value})
    with pytest.raises(QueryError, match="weight of a part must be a finite number"):
        Mix((value, "a dog"))


@pytest.mark.parametrize(
    "query",
    [
        None,
        3,
        {"a": 1},
        ["a dog"],
        np.ones((8, 8, 3)),
        np.ones((1, 12)),
        Mix((1, None)),
        b"x" * 10**6,
    ],
)
def test_what_is_no_query(make_gallery, query: object) -> None:
    with pytest.raises(QueryError) as caught:
        make_gallery(3).search(query)
    assert len(str(caught.value)) < 200
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("vectors", [None, "a dog", ["a dog"], np.ones(12), [[1, 2], [3]]])
def test_what_is_no_list_of_vectors(make_gallery, vectors: object) -> None:
    with pytest.raises(QueryError):
        make_gallery(3).search_many(vectors)


@pytest.mark.parametrize("part", ["a dog", ("a dog", 1), (1,), [1, "a dog"], None])
def test_what_is_no_part_of_a_mix(part: object) -> None:
    with pytest.raises(QueryError):
        Mix(part)


def test_ids_are_a_list_of_texts(gallery: Gallery) -> None:
    for ids in ("item-1", [1], None):
        with pytest.raises(QueryError, match="ids must be a list"):
            gallery.remove(ids)
    with pytest.raises(QueryError, match="ids must be a list of str, not of 1"):
        gallery.more_like(1)


@pytest.mark.parametrize(
    ("images", "texts", "expected"),
    [(60, 60, "image"), (60, 1, "image"), (1, 60, "image"), (0, 60, "text"), (60, 0, "image")],
)
def test_pictures_are_searched_unless_there_are_none(images, texts, expected) -> None:
    """One caption in a folder does not turn a search to the rows with a caption."""

    def column(count: int, seed: int) -> VectorColumn | None:
        return VectorColumn(unit_rows(seed, count, 12), np.arange(count)) if count else None

    found = Gallery.from_vectors(
        table(60),
        image_embeddings=column(images, 1),
        text_embeddings=column(texts, 2),
        model_id="m",
    )
    vector = np.ones(12)
    assert found.search(vector, 60) == found.search(vector, 60, expected)
    for kind in ("image", "text"):
        hits = found.search(vector, 60, query_modality=kind)
        assert len(hits) == (images if expected == "image" else texts)


def test_a_condition_that_is_no_text(gallery: Gallery) -> None:
    with pytest.raises(QueryError, match="a condition is a text"):
        gallery.search(np.ones(12), where=3)


def test_posteriors_are_compared_within_a_modality_without_their_slots() -> None:
    images, texts = (Projector(4, (), 3 + 2, output=f"posterior-{slot}") for slot in (0, 1))
    model = CrossModalModel(ImageTower(None, images), TextTower(None, texts))
    features = np.random.default_rng(3).normal(size=(2, 12, 4)).astype(np.float32)
    rows = {"image": images.embed(features[0]), "text": texts.embed(features[1])}
    gallery = Gallery.from_vectors(
        table(12),
        image_embeddings=rows["image"],
        text_embeddings=rows["text"],
        model_id=model.fingerprint,
    )
    gallery = Gallery(gallery.store, model)
    for vectors in rows.values():
        for target, others in rows.items():
            # The probability that both are of one class, in every direction.
            expected = vectors[0, :3].astype(float) @ others[:, :3].T
            hits = gallery.search(vectors[0], k=12, target=target)
            assert [hit.score for hit in hits] == pytest.approx(sorted(expected, reverse=True))
