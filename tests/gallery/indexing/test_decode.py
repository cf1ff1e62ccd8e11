"""Pictures that other processes decode are those that this one would."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from cmr_hub.encoders.images.preprocessing import Preprocessing
from cmr_hub.gallery.indexing import decode
from cmr_hub.gallery.indexing.decode import Decoded, decoded
from cmr_hub.gallery.indexing.entry import Entry, Place

SHOWN = Preprocessing(resize=16, crop=12)


def test_memory_that_is_used_again_mixes_nothing_up(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(decode, "_FEW", 1)
    monkeypatch.setattr(decode, "_AHEAD", 6)
    # This process would have decoded them all before another one has started.
    monkeypatch.setattr(decode.Future, "done", lambda future: True)
    entries = [_picture(tmp_path / f"{number:02}.png", number) for number in range(60)]
    for number in (0, 7, 8, 58):
        entries[number].path.write_bytes(b"no picture")
    # All parts are held until the end, as threads that encode may hold some.
    parts = list(decoded(entries, SHOWN, 3, 2))
    assert sorted(entry.path for own, _ in parts for entry in own) == [e.path for e in entries]
    for own, pictures in parts:
        _same(pictures, own)


def _picture(path: Path, seed: int) -> Entry:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return Entry(path, Place(path), 0, 0, "")


def _same(pictures: Decoded, entries: Sequence[Entry]) -> None:
    alone = [decode.decode([entry.place], SHOWN) for entry in entries]
    assert pictures.sha256 == [one.sha256[0] for one in alone]
    assert pictures.problems == [one.problems[0] for one in alone]
    np.testing.assert_array_equal(pictures.pixels, np.concatenate([one.pixels for one in alone]))
