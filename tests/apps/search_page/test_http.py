"""The service as curl uses it."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from cmr_hub.apps.search_page import http_api
from cmr_hub.apps.search_page.http_api import http_routes
from cmr_hub.apps.search_page.service import Service
from cmr_hub.apps.search_page.uploads import MAX_PICTURE_BYTES
from cmr_hub.gallery.clear import Neutral


@pytest.fixture
def client(engine) -> TestClient:
    return TestClient(Starlette(routes=http_routes(Service(engine))))


def test_it_is_served_beside_the_page(url, model) -> None:
    found = httpx.get(f"{url}search_text", params={"text": "a red square", "count": 3}).json()
    assert [hit["id"] for hit in found["pictures"]] == [
        hit.id for hit in model.search("a red square", k=3)
    ]


def test_clear(client, model, monkeypatch) -> None:
    found = client.get("/search_text", params={"text": "a red", "clear": "50"}).json()
    assert len(found["pictures"]) == 10
    assert found["note"].startswith("All hits are shown")
    neutral = Neutral(np.zeros(model.dim, np.float32), np.eye(model.dim, dtype=np.float32))
    monkeypatch.setattr(model.gallery.store, "_neutral", neutral)
    found = client.get("/search_text", params={"text": "red", "clear": "50"}).json()
    assert found["pictures"] == []
    assert found["note"] == "Nothing here stands out for this query."
    found = client.get("/search_text", params={"text": "red", "clear": "nan"}).json()
    assert found == {"error": "Clear must be a number, e.g. 2.5."}


def test_search_text(client, model) -> None:
    found = client.get("/search_text", params={"text": "a blue wug", "without": "green"}).json()
    assert len(found["pictures"]) == 10
    assert found["unknown_words"] == ["wug"]
    found = client.get("/search_text", params={"text": "a blue square, no green"}).json()
    assert found["note"].startswith("The word “no” is not understood")
    assert "as `without` of search_text" in found["note"]
    assert found["sentences"] == []


def test_search_image(client, model, red_square) -> None:
    found = client.post("/search_image?count=2", content=red_square.read_bytes()).json()
    assert [hit["id"] for hit in found["sentences"]] == [
        hit.id for hit in model.search(image=red_square, k=2, target="text")
    ]
    mixed = client.post("/search_image?count=2&text=blue", content=red_square.read_bytes()).json()
    assert mixed["pictures"][0]["score"] != found["pictures"][0]["score"]


def test_encode(client, model, red_square) -> None:
    text = client.get("/encode", params={"text": "a red square"}).json()
    np.testing.assert_allclose(text["vector"], model.encode_texts(["a red square"])[0], atol=1e-6)
    picture = client.post("/encode", content=red_square.read_bytes()).json()
    np.testing.assert_allclose(picture["vector"], model.encode_images([red_square])[0], atol=1e-6)
    assert picture["dim"] == len(picture["vector"])


@pytest.mark.parametrize(
    ("method", "address", "body", "why"),
    [
        ("GET", "/search_text", None, "The text is empty; give a sentence."),
        ("GET", "/search_text?text=wug", None, "No word of the text is known to this model: wug"),
        ("GET", f"/search_text?text={'x' * 3000}", None, "The text has 3,000 characters"),
        ("GET", "/search_text?text=red&count=0", None, "Count must be from 1 to 100, not 0."),
        ("GET", "/search_text?text=red&count=nan", None, "Count must be a number from 1 to 100."),
        ("POST", "/search_image", b"", "Cannot read the picture: the file is empty."),
        ("POST", "/search_image", b"<svg/>", "Cannot read the picture: it is not a JPEG, PNG"),
        ("POST", "/encode?text=red", b"x", "Cannot read the picture"),
        ("GET", "/encode", None, "Give either a text or a picture."),
        (
            "POST",
            "/search_image",
            b"x" * (MAX_PICTURE_BYTES + 1),
            "The picture is larger than 20 MB.",
        ),
    ],
    ids=range(10),
)
def test_errors_are_sentences(client, method, address, body, why) -> None:
    answer = client.request(method, address, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(why)


def test_a_bounded_number_waits(monkeypatch) -> None:
    monkeypatch.setattr(http_api, "QUEUE", 3)
    go = threading.Event()

    def slow(**arguments: str) -> dict[str, str]:
        go.wait(120)
        return arguments

    service = SimpleNamespace(search_text=slow, search_image=slow, encode=slow)
    transport = httpx.ASGITransport(Starlette(routes=http_routes(service)))

    async def codes() -> tuple[list[int], list[int]]:
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
            asked = [asyncio.create_task(client.get("/search_text")) for _ in range(12)]
            while sum(task.done() for task in asked) < 12 - http_api.CONCURRENCY - 3:
                await asyncio.sleep(0.05)
            refused = [task.result() for task in asked if task.done()]
            go.set()
            answers = await asyncio.gather(*asked)
        assert refused[0].json() == {"error": "There are too many requests; try again in a moment."}
        return [one.status_code for one in refused], [one.status_code for one in answers]

    # In a thread of its own: the browser's driver has a loop running in this one.
    with ThreadPoolExecutor(1) as pool:
        refused, all_codes = pool.submit(asyncio.run, codes()).result()
    assert refused == [503] * 7
    assert all_codes.count(200) == 5
