"""A gallery's pictures named from their vectors, beside a plain loop."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cmr_hub import load
from cmr_hub.errors import GalleryInUseError, QueryError, UnknownWordsError
from cmr_hub.gallery import label, local
from cmr_hub.gallery.directory import GalleryDirectory
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item, items_table
from cmr_hub.gallery.label import zero_shot_columns
from cmr_hub.gallery.local import LocalStore
from cmr_hub.gallery.vectors import VectorColumn

NAMES = ["flame", "sea", "grass"]


def unit_rows(seed: int, *shape: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=shape)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def some(model, tmp_path: Path) -> Gallery:
    """Forty items on the disk, of which every fourth has no picture."""
    gallery = Gallery.create(tmp_path / "gallery", model)
    items = items_table(
        Item(
            f"item-{i}",
            None if i % 4 == 3 else Path(f"/data/{i}.jpg"),
            (f"text {i}",),
            None if i % 5 == 0 else "told",
            {"year": 2000 + i},
        )
        for i in range(40)
    )
    shown = np.array([i for i in range(40) if i % 4 != 3])
    gallery.add_vectors(
        items,
        image_embeddings=VectorColumn(unit_rows(1, 30, 6), shown),
        text_embeddings=unit_rows(2, 40, 6),
    )
    return gallery


def expected(gallery: Gallery, names=NAMES, scale=None) -> dict[str, tuple[str, float]]:
    """By id the most probable name and its probability: one item and one name after the other."""
    texts = gallery.model.encode_texts([f"a photo of {name}" for name in names])
    found = {}
    rows = gallery.store.rows(gallery.items["id"].to_pylist())
    ids = rows.items["id"].to_pylist()
    column = rows.vectors["image"]
    for row, vector in zip(column.rows, column.matrix, strict=True):
        logits = [
            float(np.dot(vector, text)) * (scale or gallery.model.logit_scale) for text in texts
        ]
        powers = np.exp(logits)
        best = int(np.argmax(powers))
        found[ids[row]] = (names[best], powers[best] / powers.sum())
    return found


def columns(gallery: Gallery, *names: str) -> dict[str, tuple]:
    table = gallery.items
    return dict(
        zip(
            table["id"].to_pylist(),
            zip(*(table[name].to_pylist() for name in names), strict=True),
            strict=True,
        )
    )


def reopened(gallery: Gallery) -> Gallery:
    again = Gallery.open(gallery.store.directory.path, gallery.model)
    again.store.verify()
    return again


def test_every_picture_has_its_most_probable_name(some, monkeypatch) -> None:
    before = some.items.to_pylist()
    oracle = expected(some)
    vectors = some.vectors("image"), some.vectors("text")
    monkeypatch.setattr(label, "_ROWS", 7)
    monkeypatch.setattr(label, "_CELLS", 5)
    counts = some.label(NAMES)
    again = reopened(some)
    for gallery in (some, again):
        found = columns(gallery, "zero_shot", "zero_shot_probability")
        for id_ in (f"item-{i}" for i in range(40)):
            name, probability = oracle.get(id_, (None, None))
            assert found[id_][0] == name
            assert found[id_][1] == (None if name is None else pytest.approx(probability, abs=1e-5))
        kept = [{name: row[name] for name in before[0]} for row in gallery.items.to_pylist()]
        assert kept == before
        np.testing.assert_array_equal(gallery.vectors("image"), vectors[0])
        np.testing.assert_array_equal(gallery.vectors("text"), vectors[1])
    assert counts == dict.fromkeys(NAMES, 0) | Counter(name for name, _ in oracle.values())
    assert list(counts.values()) == sorted(counts.values(), reverse=True)
    assert set(counts) == set(NAMES)
    assert zero_shot_columns(again.items) == ["zero_shot"]


def test_conditions_ask_for_what_was_written(some) -> None:
    best = next(iter(some.label(NAMES)))
    oracle = expected(some)
    least = float(np.median([probability for _, probability in oracle.values()]))
    hits = some.search(
        unit_rows(3, 6), 40, where=f"zero_shot = '{best}' AND zero_shot_probability > {least}"
    )
    assert hits
    assert {hit.id for hit in hits} == {
        id_ for id_, (name, share) in oracle.items() if name == best and share > least
    }
    assert len(some.search(unit_rows(3, 6), 40, "text", where="zero_shot IS NULL")) == 10


def test_done_again_it_replaces(some) -> None:
    some.label(NAMES)
    texts = some.model.encode_texts(["sea", "flame"])
    rows = some.store.rows(some.items["id"].to_pylist()).vectors["image"]
    powers = np.exp(rows.matrix.astype(np.float64) @ texts.T.astype(np.float64) / 0.05)
    shares = powers / powers.sum(axis=1, keepdims=True)
    least = float(np.median(shares.max(axis=1)))
    counts = some.label(["sea", "flame"], template="{}", temperature=0.05, min_probability=least)
    found = columns(reopened(some), "zero_shot", "zero_shot_probability")
    below = 0
    for row, pair in zip(rows.rows, shares, strict=True):
        name = ["sea", "flame"][int(pair.argmax())] if pair.max() >= least else None
        below += name is None
        assert found[f"item-{row}"] == (name, pytest.approx(pair.max(), abs=1e-5))
    assert 0 < below < 30
    assert counts[None] == below
    assert sum(counts.values()) == 30
    assert some.items.column_names.count("zero_shot") == 1


def test_several_columns_and_the_datasets_own(some) -> None:
    some.label(NAMES)
    some.label(["picture", "time"], column="what")
    told = columns(some, "label", "year")
    assert some.items["label"].to_pylist().count("told") == 32
    assert zero_shot_columns(some.items) == ["zero_shot", "what"]
    some.label(NAMES, column="label")
    again = reopened(some)
    assert zero_shot_columns(again.items) == ["label", "zero_shot", "what"]
    oracle = expected(some)
    for id_, (name, year) in columns(again, "label", "year").items():
        assert name == oracle.get(id_, (None,))[0]
        assert year == told[id_][1]
    assert columns(again, "zero_shot") == columns(again, "label")
    assert "label_probability" in again.items.column_names


def test_only_items_and_the_manifest_are_written(some, monkeypatch) -> None:
    monkeypatch.setattr(local, "EXACT_LIMIT", 5)
    monkeypatch.setattr(local, "TAIL_LIMIT", 0)
    some.store.optimise()
    some.remove(["item-1"])
    folder = some.store.directory.path
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    hits = [hit.id for hit in some.search(unit_rows(4, 6), 10)]
    oracle = expected(some)
    some.label(NAMES)
    after = {path.name: path.stat().st_ino for path in folder.iterdir()}
    same = {name for name in before if name.startswith(("vectors", "graph"))}
    assert len(same) == 3
    assert {name: before[name] for name in same} == {name: after[name] for name in same}
    again = reopened(some)
    assert "graph" in again.store.facts()["search"]
    assert [hit.id for hit in again.search(unit_rows(4, 6), 10)] == hits
    found = columns(again, "zero_shot")
    assert {id_: name for id_, (name,) in found.items() if name} == {
        id_: name for id_, (name, _) in oracle.items()
    }
    again.store.compact()
    assert columns(reopened(again), "zero_shot") == found


def test_all_or_nothing(some, monkeypatch) -> None:
    some.label(NAMES)
    before = some.items

    def fail(directory, manifest) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(GalleryDirectory, "commit", fail)
        with pytest.raises(KeyboardInterrupt):
            some.label(["picture", "time"])
    assert some.items == before
    assert reopened(some).items == before
    other = GalleryDirectory(some.store.directory.path)
    with other.writing(), pytest.raises(GalleryInUseError):
        some.label(NAMES)


def test_pictures_of_a_moved_model_are_still_found(saved_model, tmp_path) -> None:
    """The gallery says where they are as seen from itself."""
    model = load(saved_model)
    model.save_pretrained(tmp_path / "a", pictures=True)
    load(tmp_path / "a").gallery.label(NAMES)
    shutil.move(tmp_path / "a", tmp_path / "b")
    model = load(tmp_path / "b")
    moved = model.gallery
    moved.store.verify()
    paths = [Path(path) for path in moved.items["path"].to_pylist()]
    assert all(path.is_file() and path.is_relative_to(tmp_path / "b") for path in paths)
    named = columns(moved, "zero_shot", "zero_shot_probability")
    for path, (name, share) in zip(paths, named.values(), strict=True):
        best = model.classify([path], NAMES)[0][0]
        assert (name, share) == (best.name, pytest.approx(best.probability, abs=1e-4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(
            ({"column": name}, "is reserved")
            for name in ("id", "path", "sentences", "modality", "sha256", "zero_shot_columns")
        ),
        ({"column": "year"}, "'year' from another source"),
        ({"column": " "}, "not a valid column name"),
        ({"column": "a\0b"}, "not a valid column name"),
        ({"column": 5}, "not a valid column name"),
        ({"min_probability": 1.5}, "between 0 and 1"),
        ({"template": "a photo"}, "once and no other braces"),
        ({"temperature": 0}, "above 0"),
    ],
)
def test_what_cannot_be_used_changes_nothing(some, options, message) -> None:
    before = some.items
    with pytest.raises(QueryError, match=message):
        some.label(NAMES, **options)
    assert reopened(some).items == before


def test_a_column_of_probabilities_is_no_column_of_names(some) -> None:
    some.label(NAMES)
    with pytest.raises(QueryError, match="another source"):
        some.label(NAMES, column="zero_shot_probability")


def test_names_and_galleries_that_cannot_be_labelled(some, model) -> None:
    with pytest.raises(UnknownWordsError, match="the class 'wug'"):
        some.label(["sea", "wug"])
    with pytest.raises(QueryError, match="must be a list"):
        some.label("sea")
    with pytest.raises(QueryError, match="needs the model"):
        Gallery(some.store).label(NAMES)
    empty = Gallery(LocalStore(model.fingerprint), model)
    with pytest.raises(QueryError, match="no picture vectors"):
        empty.label(NAMES)
    empty.add_vectors(items_table([Item("a")]), text_embeddings=unit_rows(1, 1, 6))
    with pytest.raises(QueryError, match="no picture vectors"):
        empty.label(NAMES)
