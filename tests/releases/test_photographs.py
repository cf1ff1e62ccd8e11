"""The photographs that come with the package may be passed on, and say whose they are."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

import cmr_hub

PICTURES = Path(cmr_hub.__file__).parent / "releases" / "photos" / "pictures" / "photographs"
CREDITS = [
    json.loads(line)
    for line in (PICTURES / "credits.jsonl").read_text(encoding="utf-8").splitlines()
]
# What Apache-2.0 code may ship beside itself without more terms than naming the author.
ALLOWED = {"CC0-1.0", "CC-BY-2.0", "CC-BY-3.0", "CC-BY-4.0", "public domain"}
KEYS = {"file_name", "title", "author", "licence", "source", "from", "changes", "captions"}
KILOBYTE = 1000

each_one = pytest.mark.parametrize("told", CREDITS, ids=[told["file_name"] for told in CREDITS])


@each_one
def test_credits_are_complete(told):
    assert set(told) == KEYS
    assert 1 <= len(told["captions"]) <= 2
    assert all(re.fullmatch(r"[A-Z][^.]+\.", caption) for caption in told["captions"])
    assert all(isinstance(told[key], str) and told[key].strip() for key in KEYS - {"captions"})
    assert told["licence"] in ALLOWED
    assert re.match(r"https?://[^ ]+$", told["source"])
    assert told["author"].lower() not in {"unknown", "none", "various", "anonymous"}


def test_every_picture_is_credited_once():
    names = [told["file_name"] for told in CREDITS]
    assert len(names) == len(set(names))
    assert {path.name for path in PICTURES.iterdir()} == {*names, "credits.jsonl"}
    assert 40 <= len(names) <= 120


@each_one
def test_it_is_small_decodes_and_has_no_metadata(told):
    path = PICTURES / told["file_name"]
    assert path.stat().st_size <= 60 * KILOBYTE
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == "WEBP"
        assert 200 <= max(picture.size) <= 384
        assert picture.convert("L").getextrema()[0] < picture.convert("L").getextrema()[1]
        assert not picture.getexif()
        assert not {"exif", "xmp", "icc_profile"} & set(picture.info)


def test_all_together_are_small():
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) <= 2500 * KILOBYTE
