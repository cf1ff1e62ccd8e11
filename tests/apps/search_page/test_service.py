"""The page as a service, and what it must never give away."""

from __future__ import annotations

import json

import httpx
import numpy as np
import pytest

from cmr_hub.apps.search_page.query_options import QueryOptions

COUNT = "Count must be a whole number from 1 to 500"
ENDPOINTS = {"/search", "/encode", "/facets", "/item"}


@pytest.fixture(scope="module")
def client(url, tmp_path_factory):
    from gradio_client import Client

    return Client(url, download_files=tmp_path_factory.mktemp("client"), verbose=False)


def run(url: str, endpoint: str, *data: object) -> httpx.Response:
    """As `curl` would."""
    return httpx.post(f"{url}gradio_api/run/{endpoint}", json={"data": data}, timeout=60)


def data_of(**given: object) -> list[object]:
    """The values of a request in the order in which Gradio takes them."""
    return [*(QueryOptions().model_dump() | given).values()]


def answer_of(url: str, endpoint: str, *data: object) -> str:
    """The last event of a queued call, as the server sent it."""
    api = f"{url}gradio_api/call/{endpoint}"
    event = httpx.post(api, json={"data": data}, timeout=60).raise_for_status().json()["event_id"]
    return httpx.get(f"{api}/{event}", timeout=60).text


def uploaded(url: str, name: str, data: bytes) -> dict[str, object]:
    answer = httpx.post(f"{url}gradio_api/upload", files={"files": (name, data)}, timeout=60)
    (path,) = answer.raise_for_status().json()
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def test_named_endpoints(client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)
    assert set(endpoints["named_endpoints"]) == ENDPOINTS
    assert endpoints["unnamed_endpoints"] == {}
    names = {
        name: [part["parameter_name"] for part in told["parameters"]]
        for name, told in endpoints["named_endpoints"].items()
    }
    assert names == {
        "/search": [*QueryOptions.model_fields],
        "/encode": ["text", "picture"],
        "/facets": [],
        "/item": ["id"],
    }


def test_search_text(client, url, model) -> None:
    found = client.predict("a blue square", count=3, api_name="/search")
    assert [hit["class"] for hit in found["pictures"]] == ["blue"] * 3
    assert [hit["id"] for hit in found["pictures"]] == [
        hit.id for hit in model.search("a blue square", k=3)
    ]
    assert found["sentences"] == []
    picture = httpx.get(f"{url}{found['pictures'][0]['picture']}")
    assert picture.headers["content-type"] == "image/jpeg"
    found = client.predict("red wug", without="green", api_name="/search")
    assert found["unknown_words"] == ["wug"]


def test_search_image(client, red_square) -> None:
    from gradio_client import handle_file

    found = client.predict(image=handle_file(red_square), count=2, api_name="/search")
    assert [hit["class"] for hit in found["sentences"]] == ["red", "red"]
    assert len(found["pictures"]) == 2
    mixed = client.predict("a blue square", handle_file(red_square), api_name="/search")
    plain = client.predict("", handle_file(red_square), api_name="/search")
    assert [hit["score"] for hit in mixed["pictures"]] != [
        hit["score"] for hit in plain["pictures"]
    ]


def test_encode(client, model, red_square) -> None:
    from gradio_client import handle_file

    text = client.predict("a red square", None, api_name="/encode")
    np.testing.assert_allclose(text["vector"], model.encode_texts(["a red square"])[0], atol=1e-6)
    assert (text["dim"], text["model"]) == (model.dim, model.fingerprint)
    picture = client.predict("", handle_file(red_square), api_name="/encode")
    np.testing.assert_allclose(picture["vector"], model.encode_images([red_square])[0], atol=1e-6)


def test_as_curl_does(url, red_square) -> None:
    found = (
        run(url, "search", *data_of(text="a red square", count=2))
        .raise_for_status()
        .json()["data"][0]
    )
    assert [hit["class"] for hit in found["pictures"]] == ["red", "red"]
    event, data = (
        answer_of(url, "search", *data_of(text="a red square", count=2)).strip().split("\n")
    )
    assert event == "event: complete"
    assert json.loads(data.removeprefix("data: "))[0] == found
    given = uploaded(url, "a.png", red_square.read_bytes())
    found = run(url, "search", *data_of(image=given, count=2)).raise_for_status().json()["data"][0]
    assert [hit["class"] for hit in found["sentences"]] == ["red", "red"]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "The text is empty; enter a sentence."),
        ({"text": "wug"}, "No word of the text is known to this model: wug"),
        ({"text": "x" * 100_000}, "The text has 100,000 characters"),
        ({"text": "\0\x1b"}, "The text is empty; enter a sentence."),
        ({"text": "red", "count": 0}, f"{COUNT}, not 0."),
        ({"text": "red", "count": 10**9}, COUNT),
        ({"text": "red", "count": 2.5}, COUNT),
        ({"text": "red", "offset": -1}, "Offset must be a whole number from 0, not -1."),
        ({"text": "red", "target": "smell"}, "Target must be image, text or both, not 'smell'."),
        ({"text": "red", "where": "colour = 3"}, "There is no column 'colour'"),
        ({"text": "red", "count": "many"}, ""),
        ({"text": "red", "count": None}, f"{COUNT}, not None."),
    ],
)
def test_errors_are_sentences(url, given, why) -> None:
    answer = run(url, "search", *data_of(**given))
    assert answer.status_code == 500
    assert (answer.json()["error"] or "").startswith(why)
    told = answer_of(url, "search", *data_of(**given))
    assert told.startswith("event: error")
    assert "Traceback" not in told


@pytest.mark.parametrize("text", ["قطة red", "red 😀\u202e", "红 red"])
def test_any_script(url, text) -> None:
    found = run(url, "search", *data_of(text=text, count=2)).raise_for_status().json()["data"][0]
    assert len(found["pictures"]) == 2


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none(url, number) -> None:
    for name, why in (("count", COUNT), ("clear", "Clear must be a number from 0, e.g. 2.5, not")):
        data = json.dumps(data_of(text="red", **{name: 7.5})).replace("7.5", number)
        answer = httpx.post(
            f"{url}gradio_api/run/search", content=f'{{"data": {data}}}', timeout=60
        )
        assert answer.status_code == 500
        assert answer.json()["error"].startswith(why)


def test_half_a_character(url) -> None:
    body = json.dumps({"data": data_of(text="red \ud800")})
    answer = httpx.post(
        f"{url}gradio_api/run/search",
        content=body,
        headers={"Content-Type": "application/json"},
    )
    assert "Traceback" not in answer.text
    assert answer.status_code in (200, 422, 500)


def test_hostile_files(url) -> None:
    for name, data in (
        ("a.svg", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'),
        ("a.png", b"<html><script>alert(1)</script>"),
        ("a.jpg", b"\xff\xd8\xff\xe0" + b"\0" * 1000),
    ):
        answer = run(url, "search", *data_of(image=uploaded(url, name, data)))
        assert answer.status_code == 500
        assert answer.json()["error"].startswith(f"Cannot read the picture {name}: ")


def test_files_of_the_machine_are_hidden(url, model, tmp_path, monkeypatch, red_square) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text("secret")
    picture = model.search("red", k=1)[0].path
    for path in ("/etc/passwd", tmp_path / "config.json", "config.json", red_square, picture):
        for route in ("file=", "file/"):
            found = httpx.get(f"{url}gradio_api/{route}{path}")
            assert found.status_code in (403, 404), path
        given = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
        for endpoint, data in (("search", data_of(image=given)), ("encode", ("", given))):
            answer = httpx.post(f"{url}gradio_api/call/{endpoint}", json={"data": data})
            assert answer.status_code == 400, path
            assert answer.json() == {
                "error": "Use a file that you have uploaded to this page in this visit."
            }


def test_private_events_are_not_for_others(url, tmp_path, monkeypatch) -> None:
    """Handlers of the page take results by id, whoever calls them, and give no file away."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text("secret")
    config = httpx.get(f"{url}config").json()
    for dependency in config["dependencies"]:
        for data in ({"id": "config.json"}, {"id": str(tmp_path / "config.json")}, None):
            body = {
                "data": [None] * len(dependency["inputs"]),
                "event_data": data,
                "fn_index": dependency["id"],
                "session_hash": "stranger",
            }
            answer = httpx.post(f"{url}gradio_api/run/predict", json=body, timeout=60)
            assert "secret" not in answer.text
            assert "Traceback" not in answer.text


def test_large_uploads_are_refused(url) -> None:
    files = {"files": ("large.png", b"\0" * (65 * 2**20))}
    assert httpx.post(f"{url}gradio_api/upload", files=files, timeout=60).status_code == 413
