"""The SHA-256 of large files is kept, and never that of other content."""

import hashlib
import json
import os
import time

import pytest

from cmr_hub.encoders import known_checksums
from cmr_hub.encoders.known_checksums import known_sha256


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A file that counts as large and as written long ago."""
    monkeypatch.setenv("CMR_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(known_checksums, "_LARGE", 4)
    monkeypatch.setattr(known_checksums, "_SETTLED", -1)
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"weights")
    return file


def expected(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def refuse(_):
    pytest.fail("it is read again")


def test_it_is_read_once(weights, monkeypatch) -> None:
    assert known_sha256(weights) == expected(b"weights")
    monkeypatch.setattr(known_checksums, "sha256_of_file", refuse)
    assert known_sha256(weights) == expected(b"weights")


def test_other_content_of_the_same_size_and_date(weights) -> None:
    known_sha256(weights)
    before = weights.stat()
    time.sleep(0.05)  # more than one tick of the file system's clock
    weights.write_bytes(b"Weights")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert known_sha256(weights) == expected(b"Weights")


def test_another_file_in_its_place(weights) -> None:
    known_sha256(weights)
    other = weights.with_name("other")
    other.write_bytes(b"Weights")
    os.utime(other, ns=(0, weights.stat().st_mtime_ns))
    other.replace(weights)
    assert known_sha256(weights) == expected(b"Weights")


@pytest.mark.parametrize("content", ["", "[", "[1]", "{}", "[" * 100_000])
def test_a_damaged_note_is_not_believed(weights, content) -> None:
    known_sha256(weights)
    (note,) = (weights.parent / "cache" / "checksums").iterdir()
    assert json.loads(note.read_text())[-1] == expected(b"weights")
    note.write_text(content)
    assert known_sha256(weights) == expected(b"weights")


@pytest.mark.parametrize(("name", "value"), [("_SETTLED", 10**12), ("_LARGE", 8)])
def test_nothing_is_kept_of_new_and_of_small_files(weights, name, value, monkeypatch) -> None:
    monkeypatch.setattr(known_checksums, name, value)
    assert known_sha256(weights) == expected(b"weights")
    assert not (weights.parent / "cache").exists()


def test_without_a_cache(weights, monkeypatch) -> None:
    monkeypatch.setenv("CMR_CACHE_HOME", str(weights / "cache"))
    assert known_sha256(weights) == expected(b"weights")
