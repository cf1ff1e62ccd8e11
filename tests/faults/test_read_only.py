"""With a read-only home directory and cache, the default model still searches."""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path

import pytest
from cmr_process import Cmr

pytestmark = pytest.mark.faults


def nowhere(folder: Path) -> dict[str, str]:
    return {"HOME": str(folder), "CMR_CACHE_HOME": str(folder / "cache"), "HF_HOME": str(folder)}


def test_search(cmr: Cmr, read_only: Path) -> None:
    ended = cmr("search", "sketch", "two red buses on a street", "--json", **nowhere(read_only))
    assert ended.code == 0, ended.err
    assert '"path"' in ended.out
    assert ended.err == ""


def test_demo(cmr: Cmr, read_only: Path) -> None:
    """The page exits with code 0 on Ctrl-C."""
    running = cmr.start("demo", **nowhere(read_only))
    end = time.monotonic() + 60
    while "The page is at " not in (said := running.out.read_text()):
        assert time.monotonic() < end, running.err.read_text()
        time.sleep(0.05)
    address = said.partition("The page is at ")[2].split()[0]
    with urllib.request.urlopen(address) as answer:
        assert answer.status == 200
    running.stop()
    ended = running.wait()
    assert ended.code == 0
    assert "Traceback" not in ended.err


def test_train(
    cmr: Cmr, colour_folder: Path, mobilenet_file: Path, read_only: Path, tmp_path: Path
) -> None:
    """Without a cache, training goes on with a warning; if the model cannot be saved, it fails."""
    command = ["train", "folder", "--root", colour_folder, "--image-weights", mobilenet_file]
    command += ["--epochs", 1, "--results", tmp_path / "runs.jsonl"]
    ended = cmr(*command, "--out", tmp_path / "model", **nowhere(read_only))
    assert ended.code == 0, ended.err
    assert ended.err.count("features are not cached: cannot use") == 1
    assert (tmp_path / "model" / "config.json").exists()

    line = cmr(*command, "--out", read_only / "model", **nowhere(read_only)).error
    assert line.startswith(f"error: cannot write {read_only}/model")
    assert "choose a writable location" in line


def test_sketches(cmr: Cmr, read_only: Path) -> None:
    line = cmr("data", "sketches", "--protocol", "0/2", **nowhere(read_only)).error
    assert f"cannot write {read_only}/cache/sketches" in line
    assert "choose a writable location" in line
