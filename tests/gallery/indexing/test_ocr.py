"""Text is read in pictures while they are indexed, with RapidOCR as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from pictures import picture
from PIL import Image, ImageDraw, ImageFont

from cmr_hub.errors import CMRError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing import ocr
from cmr_hub.gallery.indexing.index import index_folder
from cmr_hub.gallery.items import TEXT

WATCH = Path(__file__).parents[2] / "support" / "network_watch"


def sign(path: Path, *lines: str, size: tuple[int, int] = (480, 240)) -> Path:
    page = Image.new("RGB", size, "white")
    for number, line in enumerate(lines):
        place = (20, 20 + 60 * number)
        ImageDraw.Draw(page).text(place, line, fill="black", font=ImageFont.load_default(size=36))
    page.save(path)
    return path


@pytest.fixture(scope="session")
def signs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sign, a receipt on a photograph of 12 megapixels, and noise without text."""
    base = tmp_path_factory.mktemp("signs")
    sign(base / "gate.png", "Gate 12", "to Vienna")
    sign(base / "receipt.jpg", "Total: 14.90 EUR", size=(4000, 3000))
    picture(base / "noise.png", 0)
    return base


@pytest.fixture
def gallery(model, tmp_path: Path) -> Gallery:
    return Gallery.create(tmp_path / "gallery", model)


def texts(gallery: Gallery) -> dict[str, str | None]:
    return {Path(row["path"]).name: row.get(TEXT) for row in gallery.items.to_pylist()}


def no_reader(_pixels: object) -> None:
    raise RuntimeError("out\nof memory")


def test_text_becomes_a_column_and_is_found(gallery, signs) -> None:
    assert index_folder(gallery, signs, ocr=True).unread_text == {}
    found = texts(gallery)
    assert found["gate.png"] == "Gate 12 to Vienna"
    assert found["noise.png"] == ""
    assert {len(gallery.vectors("image"))} == {3}
    hit, *others = gallery.search('text:"gate 12"')
    assert (hit.path.name, hit.text, others) == ("gate.png", "Gate 12 to Vienna", [])
    assert index_folder(gallery, signs, ocr=True).unchanged == 3
    assert index_folder(gallery, signs).unchanged == 3


def test_a_word_lifts_a_picture_and_its_score_stays(gallery, signs) -> None:
    index_folder(gallery, signs)
    before = gallery.search("flame vienna", k=3)
    index_folder(gallery, signs, ocr=True)
    after = gallery.search("flame vienna", k=3)
    assert [hit.path.name for hit in after if hit.text] == ["gate.png"]
    assert {hit.id: round(hit.score, 6) for hit in before} == {
        hit.id: round(hit.score, 6) for hit in after
    }
    ranks = [[hit.path.name for hit in hits].index("gate.png") for hits in (before, after)]
    assert ranks[1] <= ranks[0]


def test_pictures_of_earlier_runs_are_read_but_not_encoded(
    gallery, signs, tmp_path, monkeypatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    sign(folder / "exit.png", "EXIT")
    index_folder(gallery, folder)
    assert TEXT not in gallery.items.column_names
    (row,) = gallery.items.to_pylist()
    encoder = type(gallery.model.image.required_encoder)
    encode = encoder.encode_pixels
    count: list[int] = []
    monkeypatch.setattr(
        encoder,
        "encode_pixels",
        lambda self, pixels: count.append(len(pixels)) or encode(self, pixels),
    )
    summary = index_folder(gallery, folder, ocr=True)
    assert (summary.updated, sum(count)) == (1, 0)
    assert gallery.items.to_pylist() == [{**row, TEXT: "EXIT"}]
    sign(folder / "late.png", "late")
    (folder / "exit.png").rename(folder / "moved.png")
    index_folder(gallery, folder)
    assert texts(gallery) == {"moved.png": "EXIT", "late.png": None}


def test_workers_read_text_too(gallery, tmp_path, monkeypatch) -> None:
    for number in range(6):
        sign(tmp_path / f"{number}.png", f"platform {number}")
    index_folder(gallery, tmp_path, ocr=True, workers=1)
    assert texts(gallery) == {f"{number}.png": f"platform {number}" for number in range(6)}


def test_a_failure_is_told_once_and_the_pictures_are_indexed(
    gallery, tmp_path, monkeypatch
) -> None:
    for number in range(3):
        picture(tmp_path / f"{number}.png", number)
    with monkeypatch.context() as broken:
        broken.setattr(ocr, "reader", lambda: no_reader)
        summary = index_folder(gallery, tmp_path, ocr=True, log=tmp_path / "log.txt")
    assert (summary.added, len(summary.unread_text), summary.unreadable) == (3, 3, {})
    lines = [line for line in summary.text().splitlines() if "out of memory" in line]
    assert len(lines) == 1
    assert "the text in 3 pictures cannot be read" in lines[0]
    log = (tmp_path / "log.txt").read_text()
    assert log.count("its text cannot be read: out of memory") == 3
    assert set(texts(gallery).values()) == {None}
    assert index_folder(gallery, tmp_path, ocr=True).updated == 3
    assert set(texts(gallery).values()) == {""}


@pytest.mark.parametrize("missing", ["package", "models"])
def test_without_the_extra_one_sentence_says_what_to_install(
    gallery, signs, tmp_path, monkeypatch, missing
) -> None:
    ocr.reader.cache_clear()
    (tmp_path / "empty").mkdir()
    module = SimpleNamespace(__file__=str(tmp_path / "empty" / "__init__.py"))
    monkeypatch.setitem(sys.modules, "rapidocr", None if missing == "package" else module)
    with pytest.raises(CMRError, match=r"pip install .*(cmr-hub\[ocr\]|rapidocr)"):
        index_folder(gallery, signs, ocr=True)
    assert not len(gallery)


@pytest.mark.parametrize("size", [(1, 1), (9000, 1), (1, 9000), (29, 2000)])
def test_pictures_of_odd_shapes_have_no_text(size: tuple[int, int]) -> None:
    assert ocr.text_of(Image.new("RGB", size)) == ""


@pytest.mark.parametrize(
    ("read", "stored"),
    [
        (("Ｇａｔｅ", "ﬁnal"), "Gate final"),
        (("a\x1b[31mb", "c\u202ed"), "a [31mb c d"),
        (("x" * 3000, "y" * 3000), f"{'x' * 3000} {'y' * 999}"),
        (None, ""),
    ],
)
def test_what_is_stored_is_plain_and_bounded(read, stored, monkeypatch) -> None:
    monkeypatch.setattr(ocr, "reader", lambda: lambda _pixels: SimpleNamespace(txts=read))
    assert ocr.text_of(Image.new("RGB", (20, 20))) == stored


def test_a_picture_is_read_at_a_bounded_size(monkeypatch) -> None:
    shapes: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        ocr,
        "reader",
        lambda: lambda pixels: shapes.append(pixels.shape) or SimpleNamespace(txts=()),
    )
    large = Image.new("RGB", (6400, 3200))
    ocr.text_of(large)
    ocr.text_of(Image.new("RGB", (30, 20)))
    assert shapes == [(800, 1600, 3), (20, 30, 3)]
    assert large.size == (6400, 3200)


def test_nothing_is_downloaded_nor_printed(signs, tmp_path) -> None:
    log = tmp_path / "log"
    log.touch()
    code = (
        "import sys; from PIL import Image; from cmr_hub.gallery.indexing.ocr import text_of;"
        f"print(text_of(Image.open({str(signs / 'gate.png')!r}).convert('RGB')))"
    )
    paths = os.pathsep.join([str(WATCH), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": paths, "CMR_NETWORK_LOG": str(log)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("Gate 12 to Vienna\n", "")
    assert [json.loads(line)["host"] for line in log.read_text().splitlines()] == []
