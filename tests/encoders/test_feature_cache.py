import logging
import shutil
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cmr_hub.cache_home import default_cache_home
from cmr_hub.encoders import feature_cache
from cmr_hub.encoders.devices import Placement
from cmr_hub.encoders.feature_cache import FeatureCache, image_key
from cmr_hub.errors import ImageError

DIM = 1280


class Counting:
    """The mean colour of a picture, spread over as many numbers as a true encoder gives."""

    name, dim, placement = "counting", DIM, Placement()

    def __init__(self, fingerprint="a" * 64, stop_after=None):
        self.fingerprint = fingerprint
        self.stop_after = stop_after
        self.seen = []

    def encode(self, images, *, progress=False):
        if self.stop_after is not None and len(self.seen) + len(images) > self.stop_after:
            raise KeyboardInterrupt
        self.seen += images
        return expected(images)


def expected(images):
    rows = np.empty((len(images), DIM), np.float32)
    for row, image in zip(rows, images, strict=True):
        picture = image if isinstance(image, Image.Image) else Image.open(image)
        row[:] = np.resize(np.asarray(picture.convert("RGB")).mean(axis=(0, 1)), DIM)
    return rows


@pytest.fixture
def paths(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    found = [folder / f"{number}.png" for number in range(10)]
    for number, path in enumerate(found):
        Image.new("RGB", (4, 4), (number, 2 * number, 100)).save(path)
    return found


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path / "cache")


def database(cache):
    (path,) = cache.home.glob("*.sqlite")
    return path


def encode_anew(cache, images, encoder=None):
    """Which of the images had to be encoded; the rows are right in any case."""
    encoder = encoder or Counting()
    rows = cache.encode(encoder, images)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, expected(images))
    return encoder.seen


def test_known_pictures_are_not_encoded_again(cache, paths):
    assert encode_anew(cache, paths[:6]) == paths[:6]
    assert encode_anew(cache, paths[:6]) == []
    assert encode_anew(cache, paths[::-1]) == paths[:5:-1]
    assert encode_anew(FeatureCache(cache.home), [str(path) for path in paths]) == []


def test_rows_can_be_written_to(cache, paths):
    for _ in range(2):
        cache.encode(Counting(), paths)[:] = 0
    assert encode_anew(cache, paths) == []


def test_key_is_the_content(cache, paths):
    encode_anew(cache, paths)
    moved = paths[0].rename(paths[0].with_name("moved.png"))
    assert encode_anew(cache, [moved]) == []
    shutil.copy(paths[3], paths[4])
    assert encode_anew(cache, [paths[4]]) == []
    Image.new("RGB", (4, 4), "white").save(paths[5])
    assert encode_anew(cache, paths[4:7]) == [paths[5]]


def test_another_fingerprint_is_another_cache(cache, paths):
    encode_anew(cache, paths)
    assert encode_anew(cache, paths, Counting("b" * 64)) == paths
    assert encode_anew(cache, paths, Counting("a" * 64)) == []
    assert encode_anew(cache, paths, Counting("b" * 64)) == []


def test_the_same_picture_twice_is_encoded_once(cache, paths):
    twin = paths[0].with_name("twin.png")
    shutil.copy(paths[0], twin)
    seen = encode_anew(cache, [paths[0], paths[1], twin, paths[1], paths[0]])
    assert sorted(image_key(path) for path in seen) == sorted(map(image_key, paths[:2]))


def test_no_pictures(cache):
    assert cache.encode(Counting(), []).shape == (0, DIM)


def test_open_pictures(cache, paths):
    opened = [Image.open(path) for path in paths]
    assert encode_anew(cache, opened) == opened
    assert encode_anew(cache, [Image.open(path) for path in paths]) == []


def test_open_pictures_that_differ_in_colours_only():
    pictures = [Image.new("P", (4, 4)) for _ in range(2)]
    pictures[0].putpalette([255, 0, 0] * 256)
    pictures[1].putpalette([0, 0, 255] * 256)
    assert image_key(pictures[0]) != image_key(pictures[1])
    assert image_key(pictures[0]) == image_key(Image.new("RGB", (4, 4), "red"))
    assert image_key(Image.new("RGB", (2, 8))) != image_key(Image.new("RGB", (8, 2)))


def test_missing_picture_is_named(cache, paths, tmp_path):
    with pytest.raises(ImageError, match=r"absent\.png: No such file"):
        cache.encode(Counting(), [*paths, tmp_path / "absent.png"])


def test_truncated_open_picture(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / "half.jpg"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ImageError, match="truncated"):
        image_key(Image.open(path))


def test_interrupted_run_keeps_its_finished_chunks(cache, paths, monkeypatch):
    monkeypatch.setattr(feature_cache, "_CHUNK", 3)
    with pytest.raises(KeyboardInterrupt):
        cache.encode(Counting(stop_after=6), paths)
    assert encode_anew(cache, paths) == paths[6:]


def test_chunks_do_not_change_the_rows(cache, paths, monkeypatch):
    monkeypatch.setattr(feature_cache, "_CHUNK", 3)
    assert encode_anew(cache, [*paths, *paths]) == [*paths]
    assert encode_anew(cache, [*paths, *paths]) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE features SET row = zeroblob(5120) WHERE key = ?",
        "UPDATE features SET row = x'00' WHERE key = ?",
        "UPDATE features SET checksum = zeroblob(32) WHERE key = ?",
    ],
)
def test_damaged_row_is_encoded_again(cache, paths, statement):
    encode_anew(cache, paths)
    connection = sqlite3.connect(database(cache))
    with connection:
        connection.execute(statement, [image_key(paths[7])])
    connection.close()
    assert encode_anew(cache, paths) == [paths[7]]
    assert encode_anew(cache, paths) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:50],
        lambda content: b"no database at all" * 1000,
        lambda content: bytes(200) + content[200:],
        lambda content: content[:100] + b"\xff" * 200 + content[300:],
        lambda content: content[:4096] + b"\xff" * 200 + content[4296:],
        lambda content: content[:8192] + b"\xff" * 200 + content[8392:],
    ],
    ids=["half", "head only", "text", "no head", "schema", "first page", "second page"],
)
def test_damaged_file_starts_anew(cache, paths, damage, caplog):
    encode_anew(cache, paths)
    path = database(cache)
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert encode_anew(cache, paths) == paths
    assert ["is damaged and is created again" in record.message for record in caplog.records] == [
        True
    ]
    assert encode_anew(cache, paths) == []


def test_unusable_home_is_told_and_left_out(tmp_path, paths, caplog):
    (tmp_path / "file").write_text("in the way")
    cache = FeatureCache(tmp_path / "file" / "cache")
    with caplog.at_level(logging.WARNING):
        assert encode_anew(cache, paths) == paths
    assert "features are not cached: cannot use" in caplog.text


def test_cache_that_cannot_be_written(cache, paths, caplog, monkeypatch):
    encode_anew(cache, paths[:5])
    connect = sqlite3.connect

    def read_only(path, **options):
        connection = connect(path, **options)
        connection.execute("PRAGMA query_only = ON")
        return connection

    monkeypatch.setattr(sqlite3, "connect", read_only)
    with caplog.at_level(logging.WARNING):
        assert encode_anew(cache, paths) == paths[5:]
    assert "features were computed but not cached" in caplog.text


WORKER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from cmr_hub.encoders import feature_cache
feature_cache._CHUNK = 1
from test_feature_cache import Counting, expected
paths = sorted(Path(sys.argv[2]).iterdir())
print("ready", flush=True)
sys.stdin.readline()
rows = feature_cache.FeatureCache(sys.argv[3]).encode(Counting(), paths)
assert (rows == expected(paths)).all()
"""


def test_two_processes_at_once(cache, paths, request):
    arguments = [str(request.path.parent), str(paths[0].parent), str(cache.home)]
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        _, errors = worker.communicate(timeout=60)
        assert worker.returncode == 0, errors
        assert "not cached" not in errors
    assert encode_anew(cache, paths) == []


def test_home(tmp_path, monkeypatch):
    monkeypatch.setenv("CMR_CACHE_HOME", str(tmp_path / "mine"))
    assert default_cache_home() == FeatureCache().home == tmp_path / "mine"
    monkeypatch.delenv("CMR_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_home() == tmp_path / ".cache" / "cmr-hub"


class CountingText:
    """Lengths of the sentences, spread as above."""

    name, dim, placement = "counting-text", DIM, Placement()

    def __init__(self, fingerprint, parts=()):
        self.fingerprint = fingerprint
        self.parts = parts
        self.seen = []

    def transform(self, documents):
        self.seen += documents
        return np.stack(
            [np.resize(np.float32([len(sentence) for sentence in text]), DIM) for text in documents]
        )


def test_texts_of_a_pretrained_encoder(cache):
    documents = [("one", "two"), ("one two",), ("three",), ("three",), ("onetwo", "")]
    plain = CountingText(None)
    expected_rows = cache.encode_texts(plain, documents)
    assert plain.seen == documents
    assert not cache.home.exists()

    first, second, other = CountingText("a" * 64), CountingText("a" * 64), CountingText("b" * 64)
    for encoder in (first, second, other):
        np.testing.assert_array_equal(cache.encode_texts(encoder, documents), expected_rows)
    assert sorted(first.seen) == sorted(set(documents))
    assert second.seen == []
    assert len(other.seen) == 4
    assert cache.encode_texts(first, []).shape == (0, DIM)

    both = CountingText(None, parts=(CountingText("a" * 64), CountingText(None)))
    np.testing.assert_array_equal(
        cache.encode_texts(both, documents), np.hstack([expected_rows, expected_rows])
    )
    assert [len(part.seen) for part in both.parts] == [0, 5]
    assert both.seen == []


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE features (x)",
        # Asked for a row it would count for ever.
        "CREATE VIEW features AS WITH RECURSIVE n(key, checksum, row) AS "
        "(SELECT 1, 1, 1 UNION ALL SELECT key + 1, 1, 1 FROM n) SELECT * FROM n",
        "CREATE TABLE features (key BLOB PRIMARY KEY, checksum BLOB, row BLOB);"
        "CREATE TRIGGER t AFTER INSERT ON features BEGIN DELETE FROM features; END",
    ],
    ids=["columns", "view", "trigger"],
)
def test_a_database_made_otherwise_starts_anew(cache, paths, made, caplog):
    cache.encode(Counting(), paths[:1])
    database(cache).unlink()
    with sqlite3.connect(database_path := cache.home / f"counting-{'a' * 16}.sqlite") as connection:
        connection.executescript(made)
    connection.close()
    for _ in range(2):
        np.testing.assert_array_equal(cache.encode(Counting(), paths), expected(paths))
    assert "is created again" in caplog.text
    assert database_path.is_file()
    again = Counting()
    cache.encode(again, paths)
    assert again.seen == []


def test_a_row_of_another_kind_is_computed_again(cache, paths):
    cache.encode(Counting(), paths)
    with sqlite3.connect(database(cache)) as connection:
        connection.execute("UPDATE features SET row = 3")
    connection.close()
    np.testing.assert_array_equal(cache.encode(Counting(), paths), expected(paths))
