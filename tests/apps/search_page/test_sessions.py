from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cmr_hub.apps.search_page import sessions as module
from cmr_hub.apps.search_page.query_options import QueryOptions
from cmr_hub.apps.search_page.sessions import OwnPictures, Sessions
from cmr_hub.apps.search_page.visitor_files import VisitorFolder
from cmr_hub.errors import CMRError

COLOURS = {"red": (200, 30, 30), "green": (30, 180, 40), "blue": (30, 40, 200)}


@pytest.fixture
def squares(tmp_path) -> list[Path]:
    paths = []
    for name, colour in COLOURS.items():
        paths.append(tmp_path / f"{name}.png")
        Image.new("RGB", (60, 40), colour).save(paths[-1])
    return paths


@pytest.fixture
def own(model):
    made = OwnPictures(model, VisitorFolder())
    yield made
    made.close()


def test_own_pictures_are_searched(own, squares, fake_picture) -> None:
    *_, last = own.add([*squares, fake_picture])
    assert last.added == 3
    assert [why.startswith("cannot read the picture fake.jpg: ") for why in last.refused] == [True]
    for number, colour in enumerate(COLOURS, 1):
        (hit,) = own.engine.answer(QueryOptions(text=f"a {colour} square", count=1)).pictures
        assert hit.id == str(number)
        shown = own.engine.shown(hit)
        assert shown["caption"] == f"{colour}.png"
        assert shown["picture"] == f"picture?id={number}&own={own.token}"
    *_, more = own.add(squares[:1])
    assert (more.added, len(own.engine.gallery)) == (1, 4)
    assert len(own.engine.answer(QueryOptions(text="a red square")).pictures) == 4


def test_progress_comes_in_steps(own, squares) -> None:
    told = [progress.added for progress in own.add(squares * 6)]
    assert told == [8, 16, 18]


def test_they_are_drawn_anew_and_gone_at_the_end(own, tmp_path) -> None:
    photo = Image.new("RGB", (3000, 2000), COLOURS["red"])
    exif = photo.getexif()
    exif[0x010E] = "taken at home"
    photo.save(tmp_path / "photo.jpg", exif=exif)
    list(own.add([tmp_path / "photo.jpg"]))
    (path,) = own.engine.gallery.items["path"].to_pylist()
    assert b"taken at home" not in Path(path).read_bytes()
    with Image.open(path) as kept:
        assert kept.size == (1600, 1067)
    own.close()
    assert not Path(path).parent.exists()
    assert [progress.added for progress in own.add([tmp_path / "photo.jpg"])] == [0]


def test_limits(own, squares, monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_PICTURES", 5)
    *_, last = own.add(squares * 3)
    assert (last.added, last.is_full) == (5, True)
    assert len(own.engine.gallery) == 5
    monkeypatch.setattr(module, "MAX_BYTES", 10)
    (only,) = own.add(squares)
    assert (only.added, "can be uploaded" in only.refused[0]) == (0, True)


def test_nobody_sees_anothers(model, squares) -> None:
    sessions = Sessions(model, VisitorFolder())
    first, second = sessions.open("first"), sessions.open("second")
    list(first.add(squares))
    assert first.token != second.token
    assert len(first.token) >= 32
    assert len(sessions.find("second").engine.gallery) == 0
    assert sessions.find("third") is sessions.find(None) is None
    assert sessions.engine(first.token) is first.engine
    assert sessions.engine("first") is sessions.engine("") is sessions.engine("é") is None
    sessions.close("first")
    sessions.close("first")
    sessions.close(None)
    assert sessions.engine(first.token) is sessions.find("first") is None
    assert len(sessions) == 1
    sessions.close("second")


def test_idle_sessions_make_room(model, monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_SESSIONS", 2)
    sessions = Sessions(model, VisitorFolder())
    old = sessions.open("a")
    sessions.open("b")
    with pytest.raises(CMRError, match="too many visitors"):
        sessions.open("c")
    assert sessions.open("a") is old
    old.used -= 4000
    sessions.open("c")
    assert sessions.find("a") is None
    with pytest.raises(CMRError, match="reload the page"):
        sessions.open(None)
    for name in "bc":
        sessions.close(name)
