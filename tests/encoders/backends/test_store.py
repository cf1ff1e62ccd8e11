"""Exports are kept whole, made once, and made anew where they are damaged."""

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from cmr_hub.encoders.backends.store import cached_or_made
from cmr_hub.errors import StorageError


def write(directory) -> None:
    (directory / "network.onnx").write_bytes(b"weights")


def count_and_write(directory) -> None:
    with Path(os.environ["MADE"]).open("a") as file:
        file.write("made\n")
    time.sleep(0.5)
    write(directory)


def process() -> None:
    cached_or_made("a", ["facts"], count_and_write)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CMR_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_it_is_made_once(home) -> None:
    first = cached_or_made("onnx-int8", ["facts"], write)
    assert first.parent == home / "exports"
    assert first == cached_or_made("onnx-int8", ["facts"], lambda _: pytest.fail("made again"))
    assert cached_or_made("onnx-int8", ["other facts"], write) != first


@pytest.mark.parametrize("damage", ["changed", "cut", "lost", "more", "no sums", "odd sums"])
def test_what_is_damaged_is_made_anew(damage, caplog) -> None:
    directory = cached_or_made("a", ["facts"], write)
    file, sums = directory / "network.onnx", directory / "checksums.json"
    match damage:
        case "changed":
            file.write_bytes(b"Weights")
        case "cut":
            file.write_bytes(b"")
        case "lost":
            file.unlink()
        case "more":
            (directory / "network.onnx.data").write_bytes(b"0")
        case "no sums":
            sums.unlink()
        case "odd sums":
            sums.write_text("[" * 100_000)
    assert cached_or_made("a", ["facts"], write) == directory
    assert file.read_bytes() == b"weights"
    assert {path.name for path in directory.iterdir()} == {"network.onnx", "checksums.json"}
    assert "damaged" in caplog.text


def test_nothing_is_left_of_one_that_failed(home) -> None:
    def fail(directory):
        write(directory)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cached_or_made("a", ["facts"], fail)
    assert [path.suffix for path in (home / "exports").iterdir()] == [".lock"]


def test_processes_wait_for_the_first(home, monkeypatch) -> None:
    monkeypatch.setenv("MADE", str(home / "made"))
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=process) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert [one.exitcode for one in both] == [0, 0]
    assert (home / "made").read_text() == "made\n"


def test_a_home_that_is_a_file(home, monkeypatch) -> None:
    (home / "exports").touch()
    with pytest.raises((StorageError, OSError)):
        cached_or_made("a", ["facts"], write)
