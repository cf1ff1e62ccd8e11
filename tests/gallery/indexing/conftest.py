"""A folder of pictures, of which some are told of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pictures import picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pictures, of which some are told of in every way there is."""
    base = tmp_path / "pictures"
    for i in range(4):
        picture(base / f"plain{i}.png", i)
    picture(base / "sub" / "told.jpg", 10)
    (base / "sub" / "told.txt").write_text("a picture of flame\n\nseen again\n")
    picture(base / "sub" / "json.jpg", 11)
    (base / "sub" / "json.json").write_text('{"caption": "grass", "label": "green", "year": 2008}')
    for i, name in enumerate(("a.png", "b.png", "c.png")):
        picture(base / "table" / name, 20 + i)
    lines = [
        {"file_name": "a.png", "text": "the sea", "label": "blue", "year": 2010},
        {"file_name": "b.png", "captions": ["sea", "flame"], "year": 2011.5},
        {"file_name": "gone.png", "text": "nothing"},
        {"file_name": "../plain0.png", "text": "climbs"},
        {"file_name": "/etc/passwd", "text": "climbs"},
    ]
    (base / "table" / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (base / "broken.jpg").write_bytes(b"not a picture")
    picture(base / ".hidden" / "x.png", 30)
    picture(base / ".hidden.png", 31)
    (base / "notes.txt").write_text("not of a picture")
    return base
