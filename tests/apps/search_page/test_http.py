"""The service as curl uses it."""

from __future__ import annotations

import asyncio
import threading
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from cmr_hub.apps.search_page import http_api
from cmr_hub.apps.search_page.http_api import http_routes
from cmr_hub.apps.search_page.query_options import QueryOptions
from cmr_hub.apps.search_page.service import Service
from cmr_hub.apps.search_page.uploads import MAX_PICTURE_BYTES, BusyError
from cmr_hub.gallery.clear import Neutral

NAMES = ("search", "encode", "facets", "item", "health")


@pytest.fixture
def client(engine) -> TestClient:
    return TestClient(Starlette(routes=http_routes(Service(engine))))


def test_it_is_served_beside_the_page(url, model) -> None:
    found = httpx.get(f"{url}search", params={"text": "a red square", "count": 3}).json()
    assert [hit["id"] for hit in found["pictures"]] == [
        hit.id for hit in model.search("a red square", k=3)
    ]


def test_no_answer_waits_for_the_acknowledgement_of_its_first_piece(url) -> None:
    """Which takes 40 ms with Nagle's algorithm, on a connection that is kept alive."""
    with httpx.Client() as browser:
        times = [browser.get(f"{url}health").elapsed.total_seconds() for _ in range(20)]
    assert min(times[1:]) < 0.03


def test_clear(client, model, monkeypatch) -> None:
    found = client.get("/search", params={"text": "a red", "clear": "50"}).json()
    assert len(found["pictures"]) == 10
    assert found["note"].startswith("All hits are shown")
    neutral = Neutral(np.zeros(model.dim, np.float32), np.eye(model.dim, dtype=np.float32))
    monkeypatch.setattr(model.gallery.store, "_neutral", neutral)
    found = client.get("/search", params={"text": "red", "clear": "50"}).json()
    assert found["pictures"] == []
    assert found["note"] == "Nothing here stands out for this query."
    found = client.get("/search", params={"text": "red", "clear": "nan"}).json()
    assert found == {"error": "Clear must be a number from 0, e.g. 2.5, not 'nan'."}


def test_a_sentence(client, model) -> None:
    found = client.get("/search", params={"text": "a blue wug", "without": "green"}).json()
    assert len(found["pictures"]) == 10
    assert found["unknown_words"] == ["wug"]
    found = client.get("/search", params={"text": "a blue square, no green"}).json()
    assert found["note"].startswith("The word “no” is not understood")
    assert "as `without`" in found["note"]
    assert found["sentences"] == []


def test_a_picture(client, model, red_square) -> None:
    found = client.post("/search?count=2", content=red_square.read_bytes()).json()
    assert [hit["id"] for hit in found["sentences"]] == [
        hit.id for hit in model.search(image=red_square, k=2, target="text")
    ]
    mixed = client.post("/search?count=2&text=blue", content=red_square.read_bytes()).json()
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
        ("GET", "/search", None, "The text is empty; enter a sentence."),
        ("GET", "/search?text=wug", None, "No word of the text is known to this model: wug"),
        ("GET", f"/search?text={'x' * 3000}", None, "The text has 3,000 characters"),
        (
            "GET",
            "/search?text=red&count=0",
            None,
            "Count must be a whole number from 1 to 500, not '0'.",
        ),
        (
            "GET",
            "/search?text=red&count=nan",
            None,
            "Count must be a whole number from 1 to 500, not",
        ),
        ("GET", "/search?text=red&cuont=2", None, "There is no parameter 'cuont'; use text,"),
        ("GET", "/search_text?text=red&labels=red", None, "There is no parameter 'labels'"),
        ("GET", "/search?text=red&distinct=perhaps", None, "Distinct must be true or false, not"),
        ("GET", "/search?text=red&min_score=2", None, "Min_score must be a number from -1 to 1"),
        ("GET", "/search?text=red&where=year", None, "There is no column 'year'"),
        ("GET", "/search?like=none", None, "This result is no longer in the gallery"),
        ("GET", "/search?image=x", None, "Cannot read the picture: image must be a data: URL"),
        ("GET", "/encode?text=red&count=2", None, "There is no parameter 'count'; use text."),
        ("GET", "/facets?id=2", None, "There is no parameter 'id'; this route has none."),
        ("POST", "/search", b"", "Cannot read the picture: the file is empty."),
        ("POST", "/search", b"<svg/>", "Cannot read the picture: it is not a JPEG, PNG"),
        ("POST", "/encode?text=red", b"x", "Cannot read the picture"),
        ("GET", "/encode", None, "Send either a text or a picture."),
        (
            "POST",
            "/search",
            b"x" * (MAX_PICTURE_BYTES + 1),
            "The picture is larger than 20 MB.",
        ),
    ],
    ids=range(19),
)
def test_errors_are_sentences(client, method, address, body, why) -> None:
    answer = client.request(method, address, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(why)


def test_a_request_as_json(client, model, red_square) -> None:
    expected = [hit.id for hit in model.search("a red square", k=9)]
    asked = {"text": "a red square", "offset": 6, "count": 3, "where": None, "target": "image"}
    found = client.post("/search", json=asked).json()["pictures"]
    assert [hit["id"] for hit in found] == expected[6:]
    image = f"data:image/png;base64,{b64encode(red_square.read_bytes()).decode()}"
    for given in (image, image.partition(",")[2]):
        found = client.post("/search", json={"image": given, "count": 2, "target": "text"}).json()
        assert [hit["id"] for hit in found["sentences"]] == [
            hit.id for hit in model.search(image=red_square, k=2, target="text")
        ]
    for body, why in (
        (b"[1]", "The request is not a JSON object."),
        (b"{", "The request is not JSON."),
        (b'{"picture": "/etc/passwd"}', "There is no parameter 'picture'"),
        (b'{"text": ["red"]}', "The query must be a text."),
        (b'{"image": "http://127.0.0.1/a.png"}', "Cannot read the picture: image must be"),
    ):
        answer = client.post("/search", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(why)


def test_what_an_answer_has(own_engine) -> None:
    client = TestClient(Starlette(routes=http_routes(Service(own_engine))))
    where = "camera = 'Pixel 6' AND taken >= '2021-06-05'"
    (hit,) = client.get("/search", params={"text": "red", "where": where, "count": 1}).json()[
        "pictures"
    ]
    row = own_engine.gallery.store.rows([hit["id"]]).items.to_pylist()[0]
    assert hit["path"] == row["path"]
    assert hit["columns"]["camera"] == "Pixel 6"
    assert hit["thumbnail"] == f"{hit['picture']}&small=1"
    item = client.get(f"/item/{hit['id']}").json()
    assert item == {name: hit[name] for name in item}
    assert client.get("/item/none").status_code == 404
    columns = client.get("/facets").json()["columns"]
    assert columns["rating"]["values"] == [{"value": each, "count": 4} for each in (1, 2, 0)]
    assert columns["taken"]["min"] == "2021-06-01T14:30:00"
    assert "values" not in columns["title"]
    assert client.get("/health").json()["items"] == 12


def test_the_description_has_every_parameter(client) -> None:
    described = client.get("/openapi.json").json()
    routes = {route.path.replace(":path", "") for route in client.app.routes}
    assert {*described["paths"]} == routes - {"/openapi.json"}
    search = described["paths"]["/search"]
    for method in ("get", "post"):
        parameters = search[method]["parameters"]
        assert [one["name"] for one in parameters] == [*QueryOptions.model_fields]
    schema = search["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["additionalProperties"] is False


def test_a_bounded_number_waits(monkeypatch) -> None:
    monkeypatch.setattr(http_api, "QUEUE", 3)
    go = threading.Event()

    def slow(**arguments: str) -> dict[str, str]:
        go.wait(120)
        return arguments

    service = SimpleNamespace(**dict.fromkeys(NAMES, slow))
    transport = httpx.ASGITransport(Starlette(routes=http_routes(service)))

    async def codes() -> tuple[list[int], list[int]]:
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
            asked = [asyncio.create_task(client.get("/search")) for _ in range(12)]
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


def test_a_busy_server_says_so() -> None:
    """Also if the picture comes as JSON."""

    def busy(*_: object, **__: object) -> None:
        raise BusyError("too many pictures are waiting")

    service = SimpleNamespace(**dict.fromkeys(NAMES, busy))
    client = TestClient(Starlette(routes=http_routes(service)))
    answer = client.post("/search", json={"image": f"data:image/png;base64,{'A' * 8}"})
    assert answer.status_code == 429
    assert answer.json() == {"error": "Too many pictures are waiting."}
