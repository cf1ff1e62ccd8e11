"""Each hostile directory is refused with its own message, quickly, and nothing happens."""

import os
import re
from pathlib import Path

import pytest
from hostile import HOSTILE, MARKER, hostile_copy
from hub_calls import refused

import cmr_hub


def everything_in(folder: Path) -> set[Path]:
    return {Path(at, name) for at, *found in os.walk(folder) for names in found for name in names}


@pytest.fixture(autouse=True)
def marker(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(MARKER, str(tmp_path / "executed"))
    return tmp_path / "executed"


@pytest.mark.parametrize("name", HOSTILE)
def test_refused(saved_model, tmp_path, marker, name) -> None:
    directory, message = hostile_copy(saved_model, tmp_path / "model", name)
    before = everything_in(tmp_path)
    said, seconds, megabytes = refused(directory)
    assert re.search(message, said)
    assert len(said) < 1000
    assert seconds < 2
    assert megabytes < 200
    assert not marker.exists()
    assert everything_in(tmp_path) == before


def test_thirty_and_each_with_its_own_message() -> None:
    messages = [message for _, message in HOSTILE.values()]
    assert len(set(messages)) == len(messages) >= 30


def test_the_undamaged_one_is_loaded(saved_model) -> None:
    assert cmr_hub.load(saved_model).search("flame", k=1)
