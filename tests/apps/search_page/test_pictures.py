from __future__ import annotations

import json
import shutil
from io import BytesIO

import pytest
from films import film
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from cmr_hub.apps.search_page.engine import Engine
from cmr_hub.apps.search_page.explanation import explanation
from cmr_hub.apps.search_page.pictures import jpeg, picture_route
from cmr_hub.apps.search_page.query_options import QueryOptions
from cmr_hub.apps.search_page.sessions import Sessions
from cmr_hub.apps.search_page.visitor_files import VisitorFolder
from cmr_hub.errors import QueryError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing.index import index_folder


@pytest.fixture
def sessions(model):
    made = Sessions(model, VisitorFolder())
    yield made
    made.close("visitor")


@pytest.fixture
def client(engine, sessions) -> TestClient:
    return TestClient(Starlette(routes=[picture_route(engine, sessions.engine)]))


def test_pictures_of_the_gallery(client, engine, model) -> None:
    for row in model.gallery.items.slice(0, 3).to_pylist():
        for address in (engine.address(row["id"]), engine.address(row["id"], small=True)):
            answer = client.get(address)
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "image/jpeg"
            assert answer.headers["x-content-type-options"] == "nosniff"
            with Image.open(BytesIO(answer.content)) as shown, Image.open(row["path"]) as kept:
                assert shown.size == kept.size
                assert max(shown.getexif(), default=0) == 0


def test_no_path_is_taken_from_a_request(client, model, tmp_path) -> None:
    (tmp_path / "a.png").write_bytes(b"secret")
    path = model.gallery.items["path"][0].as_py()
    for id in ("/etc/passwd", "../a.png", str(tmp_path / "a.png"), path, "", "\0", "x" * 10_000):
        for more in ({}, {"small": "1"}, {"own": "x"}, {"own": ""}):
            answer = client.get("/picture", params={"id": id, **more})
            assert answer.status_code == 404
            assert "secret" not in answer.text
    assert client.get("/picture").status_code == 404


def test_own_pictures_need_the_token(client, sessions, red_square) -> None:
    own = sessions.open("visitor")
    list(own.add([red_square]))
    address = own.engine.address("1", small=True)
    answer = client.get(address)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert client.get("/picture?id=1").status_code == 404
    assert client.get(f"/picture?id=1&own={own.token[:-1]}").status_code == 404
    sessions.close("visitor")
    assert client.get(address).status_code == 404


def test_pictures_that_have_moved(make_model) -> None:
    model = make_model()
    engine = Engine(model, model.gallery)
    client = TestClient(Starlette(routes=[picture_route(engine, lambda token: None)]))
    hit = model.search("red", k=1)[0]
    hit.path.parent.rename(hit.path.parent.with_name("elsewhere"))
    answer = client.get(engine.address(hit.id))
    assert (answer.status_code, answer.text) == (404, "The picture no longer exists.")


def test_frames_of_a_video(model, tmp_path) -> None:
    base = tmp_path / "films"
    base.mkdir()
    path = film(base / "a film.mp4", size=(200, 150))
    gallery = Gallery.create(None, model)
    index_folder(gallery, base)
    engine = Engine(model, gallery)
    client = TestClient(Starlette(routes=[picture_route(engine, lambda token: None)]))
    (hit,) = (engine.shown(hit) for hit in engine.answer(QueryOptions(text="red")).pictures)
    assert (hit["caption"], hit["duplicates"]) == ("a film.mp4 at 0:00", 2)
    (first,) = engine.answer(QueryOptions()).pictures
    assert (first.metadata["time"], first.duplicates) == (0, 2)
    blue = engine.answer(QueryOptions(where="time = 2")).pictures[0]
    shown = explanation(engine, None, blue.id, "image")
    assert shown["title"] == "a film.mp4 at 0:02"
    assert ["Video", "a film.mp4 at 0:02, one of 3 frames"] in shown["facts"]
    assert str(tmp_path) not in json.dumps([hit, shown, engine.record(blue)])
    for address in (engine.address(blue.id), engine.address(blue.id, small=True)):
        with Image.open(BytesIO(client.get(address).content)) as image:
            assert image.size == (200, 150)
            red, _, most = image.getpixel((100, 75))
            assert red < 60 < 200 < most
    path.unlink()
    assert client.get(engine.address(first.id)).status_code == 404


def test_what_was_removed_is_no_longer_shown(model, tmp_path) -> None:
    """Neither found, though the answer was kept, nor given out; whoever removed it."""
    model.gallery.save(tmp_path / "g")
    engine = Engine(model, Gallery.open(tmp_path / "g", model))
    client = TestClient(Starlette(routes=[picture_route(engine, lambda token: None)]))
    ask = QueryOptions(text="a red square", count=3)
    first, *others = [hit.id for hit in engine.answer(ask).pictures]
    assert client.get(engine.address(first, small=True)).status_code == 200
    assert engine.answer(ask) is engine.answer(ask)
    Gallery.open(tmp_path / "g").remove([first])
    assert [hit.id for hit in engine.answer(ask).pictures][:2] == others
    for small in (True, False):
        answer = client.get(engine.address(first, small=small))
        assert (answer.status_code, answer.text) == (404, "There is no such picture.")


def test_large_pictures_are_made_small(tmp_path) -> None:
    with Image.open(BytesIO(jpeg(Image.new("RGB", (3000, 1000)), 480))) as shown:
        assert shown.size == (480, 160)
    with Image.open(BytesIO(jpeg(Image.new("RGB", (30, 10)), 480))) as shown:
        assert shown.size == (30, 10)


def test_answers_follow_a_gallery_that_another_process_changes(model, sessions, tmp_path) -> None:
    """No answer has an item that was removed or has moved, so no picture is missing."""
    base = tmp_path / "pictures"
    base.mkdir()
    for row in model.gallery.items.slice(0, 6).to_pylist():
        shutil.copy(row["path"], base / f"{row['id']}.png")
    index_folder(Gallery.create(tmp_path / "g", model), base)
    engine = Engine(model, Gallery.open(tmp_path / "g", model))
    client = TestClient(Starlette(routes=[picture_route(engine, sessions.engine)]))
    options = QueryOptions(text="a red square", count=100)
    first = engine.answer(options).pictures
    other = Gallery.open(tmp_path / "g", model)
    other.remove([first[0].id])
    index_folder(other, base.rename(tmp_path / "moved"))
    hits = engine.answer(options).pictures
    assert {hit.id for hit in hits} == {hit.id for hit in first[1:]}
    for hit in hits:
        assert client.get(engine.address(hit.id)).status_code == 200
        assert client.get(engine.address(hit.id, small=True)).status_code == 200
    with pytest.raises(QueryError, match="no longer in the gallery; search again"):
        engine.answer(QueryOptions(like=first[0].id))
