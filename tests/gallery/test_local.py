"""A gallery that changes: in memory and on the disk, by one writer, before other readers' eyes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from at_once import at_once

from cmr_hub.datasets.parquet import ParquetTable
from cmr_hub.errors import GalleryInUseError, ModelFormatError
from cmr_hub.gallery import rows
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import joined_tables
from cmr_hub.gallery.local import LocalStore
from cmr_hub.gallery.manifest import Manifest
from cmr_hub.gallery.query import unit_rows
from cmr_hub.gallery.segment import Segment
from cmr_hub.gallery.where import Where


def part(gallery: Gallery, first: int, last: int) -> Segment:
    """Some rows of a gallery."""
    return gallery.store.rows([f"item-{i}" for i in range(first, last)])


def test_few_segments_however_many_steps(make_gallery, tmp_path: Path) -> None:
    gallery = make_gallery(200)
    store = LocalStore.create(tmp_path / "g", "model-a")
    for i in range(200):
        store.put(part(gallery, i, i + 1))
        manifest = Manifest.read(tmp_path / "g")
        assert len(manifest.segments) <= 9
    assert sum(segment.count for segment in manifest.segments) == 200
    assert LocalStore.open(tmp_path / "g").table().equals(gallery.items)
    files = {path.name for path in (tmp_path / "g").glob("[!.]*")}
    assert files == {"manifest.json", *manifest.files}


def test_readers_follow_other_writers(gallery: Gallery, tmp_path: Path) -> None:
    gallery.save(tmp_path / "g")
    reader, writer = Gallery.open(tmp_path / "g"), Gallery.open(tmp_path / "g")
    assert len(reader.search(np.ones(12), 100)) == 60
    writer.remove(["item-3"])
    assert len(reader) == 59
    assert "item-3" not in {hit.id for hit in reader.search(np.ones(12), 100)}
    assert len(reader.store.rows(["item-3", "item-4"])) == 1
    writer.remove(where="year >= 2000")
    writer.store.compact()
    assert reader.search(np.ones(12), 100) == []
    assert reader.targets == ()
    writer.store.put(part(gallery, 0, 5))
    assert len(reader.search(np.ones(12), 100)) == 5
    assert reader.items.equals(writer.items)


def test_readers_go_on_when_the_gallery_is_gone(gallery: Gallery, tmp_path: Path) -> None:
    gallery.save(tmp_path / "g")
    reader = Gallery.open(tmp_path / "g")
    LocalStore.open(tmp_path / "g").discard()
    assert len(reader.search(np.ones(12), 100)) == 60


def test_one_search_sees_one_state(gallery: Gallery, tmp_path: Path) -> None:
    """Rows that were there when it began stay readable until it ends."""
    gallery.save(tmp_path / "g")
    reader, writer = Gallery.open(tmp_path / "g"), Gallery.open(tmp_path / "g")
    before = reader.store._current()
    writer.remove(where="year >= 2000")
    writer.store.compact()
    assert len(before.items) == 60
    (found,) = before.search(unit_rows(np.ones((1, 12))), 100, "image", None)
    assert len(found.items) == 60


def test_a_reader_of_another_models_gallery(gallery: Gallery, tmp_path: Path) -> None:
    gallery.save(tmp_path / "g")
    reader = Gallery.open(tmp_path / "g")
    other = LocalStore("model-b")
    other.put(part(gallery, 0, 5))
    other.save(tmp_path / "g")
    with pytest.raises(ModelFormatError, match=r"now a gallery of model 'model-b'.*open it again"):
        reader.search(np.ones(12), 100)


def test_a_writer_begins_with_what_the_last_one_left(gallery: Gallery, tmp_path: Path) -> None:
    gallery.save(tmp_path / "g")
    first, second = Gallery.open(tmp_path / "g"), Gallery.open(tmp_path / "g")
    first.remove(["item-0"])
    second.remove(["item-1"])
    assert len(second) == len(Gallery.open(tmp_path / "g")) == 58


def test_another_gallery_is_never_written_over_or_into(gallery: Gallery, tmp_path: Path) -> None:
    gallery.save(tmp_path / "g")
    with pytest.raises(ModelFormatError, match="already a gallery"):
        LocalStore.create(tmp_path / "g", "model-a")
    opened = Gallery.open(tmp_path / "g")
    assert len(opened) == 60
    other = LocalStore("model-b")
    other.put(part(gallery, 0, 5))
    other.save(tmp_path / "g")
    with pytest.raises(ModelFormatError, match="now a gallery of model 'model-b'"):
        opened.store.put(part(gallery, 5, 6))
    assert len(Gallery.open(tmp_path / "g")) == 5


def test_a_second_writer_is_told_who_the_first_is(gallery: Gallery, tmp_path: Path) -> None:
    gallery.save(tmp_path / "g")
    script = """
import sys, time
from cmr_hub.gallery.local import LocalStore
from cmr_hub.gallery.manifest import Manifest
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
from cmr_hub.gallery.manifest import Manifest
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


def test_threads_that_write_into_memory_lose_nothing(gallery: Gallery) -> None:
    store = LocalStore("model-a")

    def put(first: int) -> None:
        for i in range(first, 60, 6):
            store.put(part(gallery, i, i + 1))

    at_once([partial(put, first) for first in range(6)])
    assert set(store.table()["id"].to_pylist()) == {f"item-{i}" for i in range(60)}
    assert store.vector_counts == {"image": 60, "text": 60}


def test_a_table_is_of_one_moment(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = gallery.items
    fresh = Gallery.from_vectors(expected, image_embeddings=gallery.vectors("image"), model_id="m")

    def write_meanwhile(tables: Sequence[pa.Table]) -> pa.Table:
        monkeypatch.undo()
        fresh.store.put(part(gallery, 0, 30))
        return joined_tables(tables)

    monkeypatch.setattr(rows, "joined_tables", write_meanwhile)
    assert fresh.store.table(Where("year >= 2000")).equals(expected)
    assert fresh.store.table(Where("year >= 2000"))["id"][0].as_py() == "item-30"


def test_an_items_file_is_read_by_one_thread_at_a_time(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.save(tmp_path / "g")
    inside: list[int] = []
    read = ParquetTable.table

    def noted(self: ParquetTable) -> pa.Table:
        inside.append(0)
        time.sleep(0.02)
        assert len(inside) == 1
        try:
            return read(self)
        finally:
            inside.pop()

    monkeypatch.setattr(ParquetTable, "table", noted)
    opened = Gallery.open(tmp_path / "g")
    assert at_once([lambda: opened.search(np.ones(12))] * 4) == [gallery.search(np.ones(12))] * 4
