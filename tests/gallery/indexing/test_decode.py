"""Pictures that other processes decode are those that this one would."""

from __future__ import annotations

import errno
import multiprocessing
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmr_hub.encoders.images import parallel
from cmr_hub.encoders.images.preprocessing import Preprocessing
from cmr_hub.errors import CMRError
from cmr_hub.gallery.indexing import decode
from cmr_hub.gallery.indexing.decode import Decoded, Decoders
from cmr_hub.gallery.indexing.encode import EncodingHere
from cmr_hub.gallery.indexing.entry import Entry, Place
from cmr_hub.training.threads import torch_threads

SHOWN = Preprocessing(resize=16, crop=12)


def test_memory_that_is_used_again_mixes_nothing_up(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(decode, "_FEW", 1)
    monkeypatch.setattr(decode, "_AHEAD", 6)
    # This process would have decoded them all before another one has started.
    monkeypatch.setattr(decode.Future, "done", lambda future: True)
    entries = [_picture(tmp_path / f"{number:02}.png", number) for number in range(60)]
    for number in (0, 7, 8, 58):
        entries[number].path.write_bytes(b"no picture")
    seen: list[Path] = []
    held: deque[tuple[Sequence[Entry], Decoded]] = deque()  # as threads that encode hold some
    with Decoders(SHOWN, size=3, workers=2, in_use=4) as decoders:
        for part in decoders.decoded(entries):
            held.append(part)
            seen += [entry.path for entry in part[0]]
            if len(held) == 4:
                own, pictures = held.popleft()
                _same(pictures, own)
                decoders.release(pictures)
    for own, pictures in held:
        _same(pictures, own)
    assert sorted(seen) == [entry.path for entry in entries]


def test_what_is_never_given_back_is_not_overwritten(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(decode, "_FEW", 1)
    monkeypatch.setattr(decode, "_AHEAD", 6)
    monkeypatch.setattr(decode.Future, "done", lambda future: True)
    entries = [_picture(tmp_path / f"{number:02}.png", number) for number in range(60)]
    with Decoders(SHOWN, size=3, workers=1, in_use=1) as decoders:
        parts = list(decoders.decoded(entries))
    assert sorted(entry.path for own, _ in parts for entry in own) == [e.path for e in entries]
    assert {pictures.slot for _, pictures in parts} == {None, 0, 1, 2}
    for own, pictures in parts:
        _same(pictures, own)


@pytest.mark.parametrize("threads", [1, 3])
def test_memory_is_given_back_once_encoded(tmp_path, model, monkeypatch, threads: int) -> None:
    monkeypatch.setattr(decode, "_FEW", 1)
    monkeypatch.setattr(decode, "_AHEAD", 2)
    monkeypatch.setattr(decode.Future, "done", lambda future: True)
    entries = [_picture(tmp_path / f"{number:02}.png", number) for number in range(40)]
    with torch_threads(threads), EncodingHere(model, workers=1) as encoding:
        free = sorted(encoding.decoders._free)
        done = {entry.path: found.features for entry, found in encoding.encoded(entries, ())}
        assert sorted(encoding.decoders._free) == free
        assert len(free) == 2 + parallel.pieces_in_work()
    expected = model.image.encoder.encode([entry.path for entry in entries])
    found = np.stack([done[entry.path] for entry in entries])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_process_that_dies_is_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(decode, "_FEW", 1)
    entries = [_picture(tmp_path / f"{number:02}.png", number) for number in range(20)]
    others = multiprocessing.active_children()
    with Decoders(SHOWN, size=3, workers=1, in_use=1) as decoders:
        decoders.expect(len(entries))
        (process,) = (one for one in multiprocessing.active_children() if one not in others)
        process.kill()
        with pytest.raises(CMRError, match=r"died, near .*00\.png.*is there enough memory\?"):
            list(decoders.decoded(entries))


def test_nothing_is_written_to_the_memory_afterwards(tmp_path) -> None:
    """It may be another's by then. All is handed over here, and the first part is waited for."""
    entries = [_picture(tmp_path / "large.png", 0, size=(1000, 700))] * 100
    with Decoders(SHOWN, size=10, workers=1, in_use=1) as decoders:
        decoders.expect(len(entries))
        for _, pictures in decoders.decoded(entries):
            if pictures.slot is not None:
                break
    left = decoders._slots.copy()
    time.sleep(0.5)
    np.testing.assert_array_equal(decoders._slots, left)


SCRIPT = """
from pathlib import Path
from PIL import Image
from cmr_hub.encoders.images.preprocessing import Preprocessing
from cmr_hub.gallery.indexing import decode
from cmr_hub.gallery.indexing.entry import Entry, Place
print("starts")
class Own(Preprocessing):
    pass
path = Path("a.png")
Image.new("RGB", (20, 30)).save(path)
entries = [Entry(path, Place(path), 0, 0, "")] * 65
decode.Future.done = lambda future: True
for kind in (Preprocessing, Own):
    with decode.Decoders(kind(16, 12), size=5, workers=2, in_use=2) as decoders:
        parts = [part for _, part in decoders.decoded(entries)]
    slots = {part.slot is not None for part in parts}
    print(sum(len(part.pixels) for part in parts), True in slots)
"""


@pytest.mark.parametrize("is_file", [False, True])
def test_a_script_is_not_run_again_by_workers(tmp_path, is_file: bool) -> None:
    """It has no `if __name__ == "__main__":`, or comes from standard input."""
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py" if is_file else "-"],
        input=None if is_file else SCRIPT,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    # What the script itself defines is used in its own process.
    assert done.stdout.splitlines() == ["starts", "65 True", "65 False"], done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("at", ["RawArray", "ProcessPoolExecutor"])
def test_without_memory_to_share(tmp_path, monkeypatch, caplog, at: str) -> None:
    """As in a container whose /dev/shm may only be read."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(decode, "_FEW", 1)
    context = multiprocessing.get_context("spawn")
    monkeypatch.setattr(*((context, at) if at == "RawArray" else (decode, at)), refuse)
    entries = [_picture(tmp_path / f"{number:02}.png", number) for number in range(8)]
    with Decoders(SHOWN, size=3, workers=2, in_use=1) as decoders:
        found = list(decoders.decoded(entries))
        decoders.expect(100)
    for part, pictures in found:
        _same(pictures, part)
    assert sum(len(part) for part, _ in found) == 8
    (told,) = caplog.messages
    assert "/dev/shm" in told
    assert "Read-only file system" in told


def _picture(path: Path, seed: int, size: tuple[int, int] = (20, 30)) -> Entry:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return Entry(path, Place(path), 0, 0, "")


def _same(pictures: Decoded, entries: Sequence[Entry]) -> None:
    alone = [decode.decode([entry.place], SHOWN) for entry in entries]
    assert pictures.sha256 == [one.sha256[0] for one in alone]
    assert pictures.problems == [one.problems[0] for one in alone]
    np.testing.assert_array_equal(pictures.pixels, np.concatenate([one.pixels for one in alone]))
