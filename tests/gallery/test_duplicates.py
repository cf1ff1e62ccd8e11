"""Groups of the same bytes, of the same picture and of pictures that are alike."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from cmr_hub.errors import QueryError
from cmr_hub.gallery.duplicates import ALIKE, facts_of
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing.index import index_folder
from cmr_hub.gallery.items import Item, items_table

SAME = ("same bytes", "same picture")


def photo(seed: int) -> Image.Image:
    """Return soft shapes with fine noise, as a photograph has."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((400, 300), Image.Resampling.BICUBIC), dtype=np.float64)
    return Image.fromarray((pixels + random.normal(0, 4, pixels.shape)).clip(0, 255).astype("u1"))


def written(text: str) -> Image.Image:
    page = Image.new("RGB", (400, 300), "white")
    ImageDraw.Draw(page).text((20, 120), text, fill="black", font=ImageFont.load_default(24))
    return page


def disc(colour: str) -> Image.Image:
    page = Image.new("RGB", (200, 150), "white")
    ImageDraw.Draw(page).ellipse((60, 40, 120, 100), fill=colour)
    return page


def names(groups) -> list[tuple[str, list[str]]]:
    return [(group.kind, [hit.path.name for hit in group.hits]) for group in groups]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs, with a copy of the second's bytes and three other copies of the first."""
    base = tmp_path_factory.mktemp("duplicates")
    for number in range(3):
        photo(number).save(base / f"{number}.png")
    shutil.copy(base / "1.png", base / "1 copy.png")
    photo(0).resize((200, 150)).save(base / "0 small.jpg", quality=85)
    photo(0).save(base / "0 poor.jpg", quality=40)
    ImageEnhance.Brightness(photo(0)).enhance(1.15).save(base / "0 bright.webp", quality=90)
    return base


@pytest.fixture
def gallery(model, base: Path) -> Gallery:
    made = Gallery.create(None, model)
    index_folder(made, base)
    return made


def test_the_kinds_are_apart(gallery) -> None:
    assert names(gallery.duplicates(SAME)) == [
        ("same bytes", ["1 copy.png", "1.png"]),
        ("same picture", ["0 bright.webp", "0 poor.jpg", "0 small.jpg", "0.png"]),
    ]
    (group,) = gallery.duplicates(["same bytes"])
    assert group.record()["items"][1]["metadata"]["sha256"] == group.hits[0].metadata["sha256"]
    assert f"{group.hits[0].path.stat().st_size:,} bytes" in facts_of(group.hits[0])
    json.dumps(group.record(), default=str)


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        (lambda: photo(5), lambda: photo(6), False),
        (lambda: photo(5), lambda: photo(5).convert("L"), False),
        (lambda: photo(5), lambda: photo(5).rotate(180), False),
        (lambda: photo(5), lambda: photo(5).resize((1600, 1200)), True),
        (lambda: photo(5), lambda: ImageEnhance.Contrast(photo(5)).enhance(0.9), True),
        (lambda: written("gate 12"), lambda: written("gate 21"), False),
        (lambda: written("total 12.50"), lambda: written("total 21.50"), False),
        (lambda: written("open"), lambda: written("open").resize((200, 150)), True),
        (lambda: disc("red"), lambda: disc("blue"), False),
        (lambda: disc("red"), lambda: disc("red").resize((100, 75)), True),
        (lambda: Image.new("RGB", (9, 9)), lambda: Image.new("RGB", (9, 9), "white"), False),
        (lambda: Image.new("L", (9, 9), 90), lambda: Image.new("RGB", (99, 99), "#5a5a5a"), True),
    ],
)
def test_what_is_the_same_picture(
    model, tmp_path, first: Callable[[], Image.Image], second: Callable[[], Image.Image], is_same
) -> None:
    gallery = Gallery.create(None, model)
    first().save(tmp_path / "a.png")
    index_folder(gallery, tmp_path)
    second().save(tmp_path / "b.png")  # found in a later run, too
    index_folder(gallery, tmp_path)
    assert len(gallery.duplicates(["same picture"])) == is_same


def test_results_show_one_of_each(gallery) -> None:
    everything = gallery.search("flame", 10, "image", distinct=False)
    assert len(everything) == 7
    hits = gallery.search("flame", 10, "image")
    assert len(hits) == 3
    assert sorted(hit.duplicates for hit in hits) == [0, 1, 3]
    assert [hit.rank for hit in hits] == [1, 2, 3]
    first = {}
    for hit in everything:
        first.setdefault(hit.path.name[0], hit.id)
    assert [hit.id for hit in hits] == list(first.values())
    pages = [gallery.search("flame", 1, "image", offset)[0] for offset in range(3)]
    assert pages == hits
    vector = gallery.vectors("image")[:1]
    assert gallery.search_many(vector, 10, "image")[0] == gallery.search(vector[0], 10, "image")


def test_more_like_a_picture_shows_no_copy_of_it(gallery) -> None:
    (_, group) = gallery.duplicates(SAME)
    for hit in group.hits:
        others = gallery.more_like(hit.id, 10)
        assert sorted(other.duplicates for other in others) == [0, 1]
        assert len(gallery.more_like(hit.id, 10, distinct=False)) == 6


def test_groups_follow_what_is_removed_and_changed(model, base, tmp_path) -> None:
    own = shutil.copytree(base, tmp_path / "own")
    gallery = Gallery.create(tmp_path / "g", model)
    index_folder(gallery, own)
    (own / "0 bright.webp").unlink()  # the first of its group
    (own / "0 poor.jpg").unlink()
    index_folder(gallery, own)
    assert names(gallery.duplicates(["same picture"])) == [
        ("same picture", ["0 small.jpg", "0.png"])
    ]
    assert max(hit.duplicates for hit in gallery.search("flame", 10, "image")) == 1
    photo(0).rotate(90).save(own / "0 small.jpg")
    photo(2).save(own / "2.png", compress_level=1)  # other bytes in the same place
    index_folder(gallery, own)
    assert gallery.duplicates(["same picture"]) == []
    rows = {Path(row["path"]).name: row["copy_of"] for row in gallery.items.to_pylist()}
    assert rows["2.png"] is None
    photo(2).save(own / "2.jpg", quality=95)
    index_folder(gallery, own)
    assert names(gallery.duplicates(["same picture"])) == [("same picture", ["2.png", "2.jpg"])]


@pytest.mark.parametrize("threshold", [0.5, 0.9, 1.0])
def test_each_is_alike_the_first_of_its_group(threshold: float) -> None:
    random = np.random.default_rng(0)
    vectors = np.repeat(random.normal(size=(80, 6)), 9, axis=0)
    vectors += random.normal(0, 0.2, vectors.shape)
    vectors[::5] = vectors[0]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    items = items_table(Item(f"{number}", Path(f"/{number}.png")) for number in range(720))
    gallery = Gallery.from_vectors(items, image_embeddings=vectors, model_id="m")
    expected, taken = [], set()
    for row in range(720):
        near = [
            other
            for other in range(row, 720)
            if {row, other}.isdisjoint(taken)
            and (other == row or vectors[row].astype(float) @ vectors[other] > threshold - 1e-6)
        ]
        if len(near) > 1:
            expected.append([str(number) for number in near])
            taken.update(near)
    found = gallery.duplicates(["alike"], alike=threshold - 1e-6)
    assert [[hit.id for hit in group.hits] for group in found] == expected
    assert gallery.duplicates(SAME) == []


def test_bad_arguments_are_refused(gallery) -> None:
    with pytest.raises(QueryError, match=r"unknown kind .* choose from: same bytes"):
        gallery.duplicates(["equal"])
    for alike in (0, 1.5, float("nan")):
        with pytest.raises(QueryError, match="alike must be"):
            gallery.duplicates(alike=alike)
    assert 0.9 < ALIKE < 1


def test_copies_are_a_column(gallery) -> None:
    one_of_each = gallery.search("flame", 10, "image", where="copy_of IS NULL", distinct=False)
    assert len(one_of_each) == 3
    assert gallery.items.schema.field("picture_hash").type == pa.string()
