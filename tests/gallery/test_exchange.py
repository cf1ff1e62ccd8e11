"""A gallery in the files of other programs, and one of vectors from elsewhere."""

from __future__ import annotations

import csv
import json
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cmr_hub.errors import CMRError, DataFormatError, QueryError
from cmr_hub.gallery import exchange
from cmr_hub.gallery.exchange import export_gallery, import_vectors
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item, items_table
from cmr_hub.gallery.local import LocalStore
from cmr_hub.gallery.vectors import VectorColumn


@pytest.fixture
def gallery(model) -> Gallery:
    """Three items: a picture, a text and both; in two segments, one of whose rows is removed."""
    vectors = np.random.default_rng(0).normal(size=(4, model.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    items = [
        Item("ä", Path("/p/ä.jpg"), (), "dog", {"year": 2020, "taken": datetime(2020, 5, 1, 12)}),
        Item("gone", Path("/p/gone.jpg")),
        Item("b", None, ('a "dog"', "犬, a\nline"), None, {"year": None}),
        Item("c", Path("/p/sub/c.jpg"), ("a cat",), "cat", {"year": 1999}),
    ]
    made = Gallery(LocalStore(model.fingerprint), model)
    made.add_vectors(
        items_table(items[:2]),
        image_embeddings=vectors[:2],
    )
    made.add_vectors(
        items_table(items[2:]),
        image_embeddings=VectorColumn(vectors[2:3], np.array([1])),
        text_embeddings=vectors[2:],
    )
    made.remove(["gone"])
    return made


def same(first: Gallery, second: Gallery) -> None:
    names = first.items.column("id").to_pylist()
    assert second.items.column("id").to_pylist() == names
    assert second.store.vector_counts == first.store.vector_counts
    for name in ("path", "sentences", "label"):
        assert second.items.column(name).to_pylist() == first.items.column(name).to_pylist()
    for id_ in names:
        a, b = first.store.rows([id_]), second.store.rows([id_])
        for target, column in a.vectors.items():
            np.testing.assert_allclose(b.vectors[target].matrix, column.matrix, atol=1e-6)


@pytest.mark.parametrize("name", ["g.parquet", "g.npz"])
def test_what_is_exported_can_be_imported(gallery, model, tmp_path, name: str, monkeypatch) -> None:
    monkeypatch.setattr(exchange, "_ROWS", 2)
    assert export_gallery(gallery.store, tmp_path / name) == 3
    again = import_vectors(tmp_path / name, tmp_path / "again", model, model_name="m")
    same(gallery, again)
    assert LocalStore.open(tmp_path / "again").model_name == "m"
    if name == "g.parquet":
        assert again.items.column("year").to_pylist() == [2020, None, 1999]
        assert again.items.column("taken")[0].as_py() == datetime(2020, 5, 1, 12)


def test_parquet(gallery, tmp_path) -> None:
    export_gallery(gallery.store, tmp_path / "g.parquet", where="label = 'dog'")
    (row,) = pq.read_table(tmp_path / "g.parquet").to_pylist()
    assert (row["id"], row["path"], row["year"], row["text_vector"]) == (
        "ä",
        "/p/ä.jpg",
        2020,
        None,
    )
    np.testing.assert_array_equal(
        np.float32(row["image_vector"]), gallery.store.rows(["ä"]).vectors["image"].matrix[0]
    )


def test_csv(gallery, tmp_path) -> None:
    export_gallery(gallery.store, tmp_path / "g.csv")
    with (tmp_path / "g.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["ä", "b", "c"]
    assert json.loads(rows[1]["sentences"]) == ['a "dog"', "犬, a\nline"]
    assert rows[1]["image_vector"] == ""
    found = np.float32(json.loads(rows[2]["text_vector"]))
    np.testing.assert_array_equal(found, gallery.store.rows(["c"]).vectors["text"].matrix[0])


def test_fiftyone(gallery, tmp_path) -> None:
    """What its importer of JSON datasets reads: `samples`, and a metadata file without version."""
    export_gallery(gallery.store, tmp_path / "f", "fiftyone")
    assert "version" not in json.loads((tmp_path / "f" / "metadata.json").read_text())
    samples = json.loads((tmp_path / "f" / "samples.json").read_text())["samples"]
    assert [sample["filepath"] for sample in samples] == ["/p/ä.jpg", "/p/sub/c.jpg"]
    assert samples[1]["ground_truth"] == {"_cls": "Classification", "tags": [], "label": "cat"}
    assert samples[1]["captions"] == ["a cat"]
    assert len(samples[1]["image_vector"]) == gallery.dim


def test_lance(gallery, model, tmp_path) -> None:
    pytest.importorskip("lance")
    export_gallery(gallery.store, tmp_path / "g.lance")
    same(gallery, import_vectors(tmp_path / "g.lance", tmp_path / "again", model))


def test_without_pylance(gallery, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "lance", None)
    with pytest.raises(CMRError, match="pip install pylance"):
        export_gallery(gallery.store, tmp_path / "g.lance")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_gallery(model, tmp_path) -> None:
    store = LocalStore(model.fingerprint)
    for name in ("g.parquet", "g.csv", "g.npz", "f"):
        assert export_gallery(store, tmp_path / name, "fiftyone" if name == "f" else None) == 0
        assert (tmp_path / name).exists()


def test_what_fails_leaves_nothing(gallery, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(exchange, "_ROWS", 1)
    rows, calls = gallery.store.rows, iter([True, False])

    def failing(ids):
        assert next(calls), "the disk is full"
        return rows(ids)

    monkeypatch.setattr(gallery.store, "rows", failing)
    (tmp_path / "g.csv").write_text("old")
    with pytest.raises(AssertionError, match="full"):
        export_gallery(gallery.store, tmp_path / "g.csv")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize(
    ("out", "format", "message"),
    [
        ("g.xls", None, "unknown format 'xls'"),
        ("g", "parqet", "Did you mean parquet?"),
        ("there", "fiftyone", "already exists"),
    ],
)
def test_refused_exports(gallery, tmp_path, out: str, format: str | None, message: str) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(QueryError, match=message):
        export_gallery(gallery.store, tmp_path / out, format)


def test_vectors_of_another_program(model, tmp_path) -> None:
    """Not of length 1, doubles, under another name; a relative path, a caption as text."""
    vectors = np.random.default_rng(1).normal(size=(2, model.dim)) * 7
    table = {
        "id": [1, 2],
        "vector": vectors.tolist(),
        "caption": ["a dog", None],
        "path": ["a.jpg", None],
        "price": [1.5, None],
    }
    pq.write_table(pa.table(table), tmp_path / "v.parquet")
    made = import_vectors(tmp_path / "v.parquet", tmp_path / "g", model)
    assert made.items.column("path").to_pylist() == [str(tmp_path / "a.jpg"), None]
    assert made.items.column("sentences").to_pylist() == [["a dog"], []]
    assert made.items.column("price").to_pylist() == [1.5, None]
    (hit, _) = made.search(vectors[1], k=2)
    assert (hit.id, round(hit.score, 5)) == ("2", 1.0)


def test_npy(model, tmp_path) -> None:
    np.save(tmp_path / "v.npy", np.eye(2, model.dim))
    (tmp_path / "ids.txt").write_text("a\nb\n", encoding="utf-8")
    made = import_vectors(tmp_path / "v.npy", tmp_path / "g", model, ids=tmp_path / "ids.txt")
    assert made.items.column("id").to_pylist() == ["a", "b"]
    with pytest.raises(DataFormatError, match="give a file with one id per line with --ids"):
        import_vectors(tmp_path / "v.npy", tmp_path / "h", model)
    (tmp_path / "ids.txt").write_text("a\n")
    with pytest.raises(DataFormatError, match=r"2 vectors, but .* has 1 ids"):
        import_vectors(tmp_path / "v.npy", tmp_path / "h", model, ids=tmp_path / "ids.txt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vector": [[0.0] * 6, [1.0] * 6]}, "1 image vectors are zero or not finite.* rows 0"),
        ({"vector": [[1.0] * 6, [float("nan")] * 6]}, "zero or not finite.* rows 1"),
        ({"vector": [[1.0] * 6, [float("inf")] * 6]}, "zero or not finite"),
        ({"vector": [[1.0] * 7] * 2}, "shape 2 × 7, .* 6 dimensions"),
        ({"vector": [[1.0] * 6, [1.0]]}, "different lengths"),
        ({"vector": ["a", "b"]}, "does not have lists of numbers"),
        ({"vector": [None, None]}, "no vectors"),
        ({"vector": None}, "no vectors"),
        ({"id": None}, "no column called id"),
        ({"id": ["a", "a"]}, "1 ids are not unique, e.g. 'a'"),
        ({"id": ["a", None]}, "1 rows have no id, e.g. row 1"),
    ],
)
def test_refused_vectors(model, tmp_path, change: dict[str, object], message: str) -> None:
    assert model.dim == 6
    columns = {"id": ["a", "b"], "vector": [[1.0] * 6] * 2} | change
    given = {name: column for name, column in columns.items() if column is not None}
    pq.write_table(pa.table(given), tmp_path / "v.parquet")
    with pytest.raises(DataFormatError, match=message):
        import_vectors(tmp_path / "v.parquet", tmp_path / "g", model)
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize("name", ["v.parquet", "v.npz", "v.npy", "v.txt", "absent.parquet"])
def test_damaged_files(model, tmp_path, name: str) -> None:
    if name != "absent.parquet":
        (tmp_path / name).write_bytes(b"PK\x03\x04 nothing")
    (tmp_path / "ids").write_text("a")
    with pytest.raises(DataFormatError, match=name):
        import_vectors(tmp_path / name, tmp_path / "g", model, ids=tmp_path / "ids")


def test_a_gallery_is_not_replaced(gallery, model, tmp_path) -> None:
    export_gallery(gallery.store, tmp_path / "g.parquet")
    import_vectors(tmp_path / "g.parquet", tmp_path / "g", model)
    with pytest.raises(QueryError, match="is already a gallery"):
        import_vectors(tmp_path / "g.parquet", tmp_path / "g", model)
