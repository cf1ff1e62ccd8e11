"""A gallery that changes: in memory and on the disk, by one writer, before other readers' eyes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from cmr_hub.errors import GalleryInUseError, QueryError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.local import LocalStore
from cmr_hub.gallery.segment import Segment
from cmr_hub.gallery.vectors import VectorColumn


def part(gallery: Gallery, first: int, last: int) -> Segment:
    """Some rows of a gallery."""
    return gallery.store.rows([f"item-{i}" for i in range(first, last)])


def fill(store: LocalStore, gallery: Gallery) -> None:
    """Puts the sixty items into a store in five steps, some twice and some in vain."""
    store.put(part(gallery, 0, 20))
    store.put(part(gallery, 10, 25))
    store.put(part(gallery, 25, 26))
    store.put(part(gallery, 26, 60))
    assert store.remove(["item-3", "item-30", "nobody"]) == 2
    store.put(part(gallery, 3, 4))
    assert store.remove(["item-59"]) == 1


@pytest.fixture(params=["memory", "disk", "opened", "compacted"])
def changed(request: pytest.FixtureRequest, gallery: Gallery, tmp_path: Path) -> Gallery:
    """A gallery of 58 items that came and went."""
    if request.param == "memory":
        store = LocalStore("model-a")
    else:
        store = LocalStore.create(tmp_path / "g", "model-a")
    fill(store, gallery)
    if request.param == "opened":
        store = LocalStore.open(tmp_path / "g")
    if request.param == "compacted":
        store.compact()
        assert store.removed == 0
    store.verify()
    return Gallery(store)


def test_what_came_and_went(changed: Gallery, gallery: Gallery) -> None:
    ids = changed.items["id"].to_pylist()
    assert sorted(ids) == sorted(f"item-{i}" for i in range(60) if i not in (30, 59))
    assert len(changed) == 58
    before = {row["id"]: row for row in gallery.items.to_pylist()}
    assert changed.items.to_pylist() == [before[id_] for id_ in ids]
    query = np.random.default_rng(1).normal(size=12)
    for target in ("image", "text"):
        hits = gallery.search(query, 60, target)
        expected = [(hit.id, hit.score) for hit in hits if hit.id in set(ids)]
        assert [(hit.id, hit.score) for hit in changed.search(query, 60, target)] == expected


@pytest.mark.parametrize(
    ("where", "passes"),
    [
        ("label = 'class-1'", lambda row: row["label"] == "class-1"),
        ("year >= 2005 AND path IS NULL", lambda row: row["year"] >= 2005 and not row["path"]),
        ("modality = 'pair'", lambda row: True),
        ("modality = 'image'", lambda row: False),
    ],
)
def test_a_filter_is_applied_before_the_best_are_taken(changed, where, passes) -> None:
    query = np.random.default_rng(2).normal(size=12)
    rows = {row["id"]: row for row in changed.items.to_pylist()}
    every = changed.search(query, 60)
    expected = [hit.id for hit in every if passes(rows[hit.id])]
    for k, offset in ((3, 0), (60, 0), (4, 2)):
        found = changed.search(query, k, offset=offset, where=where)
        assert [hit.id for hit in found] == expected[offset : offset + k]
        assert [hit.rank for hit in found] == list(range(offset + 1, offset + 1 + len(found)))


def test_rows_without_a_vector_of_one_modality(gallery: Gallery, tmp_path: Path) -> None:
    rows = np.array([1, 5, 40])
    half = Gallery.from_vectors(
        gallery.items,
        image_embeddings=VectorColumn(gallery.vectors("image")[rows], rows),
        text_embeddings=gallery.vectors("text"),
        model_id="model-a",
    )
    half.save(tmp_path / "g")
    for one in (half, Gallery.open(tmp_path / "g")):
        hits = one.search(np.ones(12), 60, "image")
        assert {hit.id for hit in hits} == {"item-1", "item-5", "item-40"}
        assert len(one.search(np.ones(12), 60, "text")) == 60
        assert len(one.search(np.ones(12), 60, "text", where="modality = 'text'")) == 57
        assert one.search(np.ones(12), where="modality = 'text'", target="image") == []


def test_minimum_score_and_near_duplicates(gallery: Gallery) -> None:
    vectors = gallery.vectors("image").copy()
    vectors[:20] = vectors[0]
    burst = Gallery.from_vectors(gallery.items, image_embeddings=vectors, model_id="m")
    every = burst.search(vectors[0], 60)
    assert [hit.id for hit in every[:20]] == [f"item-{i}" for i in range(20)]
    good = burst.search(vectors[0], 60, min_score=0.3)
    assert good == [hit for hit in every if hit.score >= 0.3]
    distinct = burst.search(vectors[0], 60, distinct=0.99)
    assert [hit.id for hit in distinct] == ["item-0", *(hit.id for hit in every[20:])]
    assert burst.search(vectors[0], 5, distinct=0.99) == distinct[:5]
    assert burst.search(vectors[0], 5, offset=5, distinct=0.99) == distinct[5:10]


def test_more_like_an_item(gallery: Gallery) -> None:
    expected = gallery.search(gallery.vectors("image")[7], 6)[1:]
    hits = gallery.more_like("item-7", 5)
    assert [hit.id for hit in hits] == [hit.id for hit in expected]
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]
    assert gallery.more_like("item-7", 2, offset=3) == hits[3:]
    with pytest.raises(QueryError, match="no item 'nobody'"):
        gallery.more_like("nobody")


def test_removal_by_condition(gallery: Gallery) -> None:
    years = gallery.items["year"]
    gone = pc.sum(pc.less(years, 2004)).as_py()
    assert gallery.remove(where="year < 2004") == gone
    assert len(gallery) == 60 - gone
    assert gallery.remove(["item-8"], where="year = 2008") == 6
    assert gallery.remove(where="year > 0")
    assert len(gallery) == 0
    assert gallery.search(np.ones(12)) == []


def test_few_segments_however_many_steps(make_gallery, tmp_path: Path) -> None:
    gallery = make_gallery(200)
    store = LocalStore.create(tmp_path / "g", "model-a")
    for i in range(200):
        store.put(part(gallery, i, i + 1))
        assert len(store.manifest.segments) <= 9
    assert sum(segment.count for segment in store.manifest.segments) == 200
    assert LocalStore.open(tmp_path / "g").table().equals(gallery.items)
    files = {path.name for path in (tmp_path / "g").glob("[!.]*")}
    assert files == {"manifest.json", *store.manifest.files}


def test_readers_go_on_with_what_they_opened(gallery: Gallery, tmp_path: Path) -> None:
    gallery.save(tmp_path / "g")
    readers = [Gallery.open(tmp_path / "g") for _ in range(2)]
    writer = Gallery.open(tmp_path / "g")
    writer.remove(where="year >= 2000")
    writer.store.compact()
    assert len(Gallery.open(tmp_path / "g")) == 0
    for reader in readers:  # the files that they read are gone by now
        assert len(reader.search(np.ones(12), 100)) == 60


def test_a_writer_begins_with_what_the_last_one_left(gallery: Gallery, tmp_path: Path) -> None:
    gallery.save(tmp_path / "g")
    first, second = Gallery.open(tmp_path / "g"), Gallery.open(tmp_path / "g")
    first.remove(["item-0"])
    second.remove(["item-1"])
    assert len(second) == len(Gallery.open(tmp_path / "g")) == 58


def test_a_second_writer_is_told_who_the_first_is(gallery: Gallery, tmp_path: Path) -> None:
    gallery.save(tmp_path / "g")
    script = """
import sys, time
from cmr_hub.gallery.local import LocalStore
with LocalStore.open(sys.argv[1]).writing():
    print("ready", flush=True)
    time.sleep(60)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "g")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        second = Gallery.open(tmp_path / "g")
        with pytest.raises(GalleryInUseError, match=f"process {process.pid} on .* is writing"):
            second.remove(["item-0"])
        assert len(second.search(np.ones(12), 100)) == 60
        process.kill()
    assert second.remove(["item-0"]) == 1


WRITER = """
import sys
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.local import LocalStore
source, store = Gallery.open(sys.argv[1]), LocalStore.open(sys.argv[2])
while True:
    for i in range(60):
        store.put(source.store.rows([f"item-{i}"]))
        print(i, flush=True)
    store.compact()
    store.remove([f"item-{i}" for i in range(60)])
    print(-1, flush=True)
"""


def test_killed_at_any_moment_it_is_the_old_or_the_new(gallery: Gallery, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    gallery.save(source)
    LocalStore.create(target, "model-a")
    random = np.random.default_rng(0)
    for _ in range(4):
        command = [sys.executable, "-c", WRITER, str(source), str(target)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            process.stdout.readline()
            time.sleep(random.uniform(0, 0.4))
            os.kill(process.pid, signal.SIGKILL)
            last = [int(line) for line in process.stdout.read().splitlines() if line][-1:]
        opened = Gallery.open(target)
        opened.store.verify()
        ids = set(opened.items["id"].to_pylist())
        if last and last[0] >= 0:  # what was acknowledged is there
            assert f"item-{last[0]}" in ids or not ids
        vectors = dict(enumerate(gallery.vectors("image")))
        for hit in opened.search(np.ones(12), 100):
            own = vectors[int(hit.id.removeprefix("item-"))].astype(np.float64)
            assert hit.score == pytest.approx(own.sum() / np.sqrt(12))
    LocalStore.open(target).compact()
    assert not list(target.glob("*.tmp"))
