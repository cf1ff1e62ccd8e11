"""The SHA-256 of large files is kept, and never that of other content."""

import hashlib
import json
import os

import pytest

from cmr_hub.encoders.pretrained import files
from cmr_hub.encoders.pretrained.files import PretrainedFiles


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A file that counts as large and as written long ago."""
    monkeypatch.setenv("CMR_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(files, "_LARGE", 4)
    monkeypatch.setattr(files, "_SETTLED", -1)
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"weights")
    return file


def sha256(file) -> str:
    """What a new process finds."""
    return PretrainedFiles(file.parent, (file.name,), "open_clip").sha256


def expected(content: bytes) -> str:
    whole = hashlib.sha256(b"open_clip")
    whole.update(f"model.safetensors:{hashlib.sha256(content).hexdigest()};".encode())
    return whole.hexdigest()


def refuse(_):
    pytest.fail("it is read again")


def test_it_is_read_once(weights, monkeypatch) -> None:
    assert sha256(weights) == expected(b"weights")
    monkeypatch.setattr(files, "sha256_of_file", refuse)
    assert sha256(weights) == expected(b"weights")


def test_other_content_of_the_same_size_and_date(weights) -> None:
    sha256(weights)
    before = weights.stat()
    weights.write_bytes(b"Weights")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert sha256(weights) == expected(b"Weights")


def test_another_file_in_its_place(weights) -> None:
    sha256(weights)
    other = weights.with_name("other")
    other.write_bytes(b"Weights")
    os.utime(other, ns=(0, weights.stat().st_mtime_ns))
    other.replace(weights)
    assert sha256(weights) == expected(b"Weights")


@pytest.mark.parametrize("content", ["", "[", "[1]", "{}", "[" * 100_000])
def test_a_damaged_note_is_not_believed(weights, content) -> None:
    sha256(weights)
    (note,) = (weights.parent / "cache" / "checksums").iterdir()
    assert json.loads(note.read_text())[-1] == hashlib.sha256(b"weights").hexdigest()
    note.write_text(content)
    assert sha256(weights) == expected(b"weights")


@pytest.mark.parametrize(("name", "value"), [("_SETTLED", 10**12), ("_LARGE", 8)])
def test_nothing_is_kept_of_new_and_of_small_files(weights, name, value, monkeypatch) -> None:
    monkeypatch.setattr(files, name, value)
    assert sha256(weights) == expected(b"weights")
    assert not (weights.parent / "cache").exists()


def test_without_a_cache(weights, monkeypatch) -> None:
    monkeypatch.setenv("CMR_CACHE_HOME", str(weights / "cache"))
    assert sha256(weights) == expected(b"weights")
