"""The page as a service, and what it must never give away."""

from __future__ import annotations

import json

import httpx
import numpy as np
import pytest

ENDPOINTS = {"/search_text", "/search_image", "/encode"}


@pytest.fixture(scope="module")
def client(url, tmp_path_factory):
    from gradio_client import Client

    return Client(url, download_files=tmp_path_factory.mktemp("client"), verbose=False)


def run(url: str, endpoint: str, *data: object) -> httpx.Response:
    """As `curl` would."""
    return httpx.post(f"{url}gradio_api/run/{endpoint}", json={"data": data}, timeout=60)


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
        "/search_text": ["text", "count", "without", "clear"],
        "/search_image": ["picture", "text", "count"],
        "/encode": ["text", "picture"],
    }


def test_search_text(client, url, model) -> None:
    found = client.predict("a blue square", 3, "", 0, api_name="/search_text")
    assert [hit["class"] for hit in found["pictures"]] == ["blue"] * 3
    assert [hit["id"] for hit in found["pictures"]] == [
        hit.id for hit in model.search("a blue square", k=3)
    ]
    assert found["sentences"] == []
    picture = httpx.get(f"{url}{found['pictures'][0]['picture']}")
    assert picture.headers["content-type"] == "image/jpeg"
    assert client.predict("red wug", 1, "green", 0, api_name="/search_text")["unknown_words"] == [
        "wug"
    ]


def test_search_image(client, red_square) -> None:
    from gradio_client import handle_file

    found = client.predict(handle_file(red_square), "", 2, api_name="/search_image")
    assert [hit["class"] for hit in found["sentences"]] == ["red", "red"]
    assert len(found["pictures"]) == 2
    mixed = client.predict(handle_file(red_square), "a blue square", 4, api_name="/search_image")
    plain = client.predict(handle_file(red_square), "", 4, api_name="/search_image")
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
    found = run(url, "search_text", "a red square", 2, "", 0).raise_for_status().json()["data"][0]
    assert [hit["class"] for hit in found["pictures"]] == ["red", "red"]
    event, data = answer_of(url, "search_text", "a red square", 2, "", 0).strip().split("\n")
    assert event == "event: complete"
    assert json.loads(data.removeprefix("data: "))[0] == found
    given = uploaded(url, "a.png", red_square.read_bytes())
    found = run(url, "search_image", given, "", 2).raise_for_status().json()["data"][0]
    assert [hit["class"] for hit in found["sentences"]] == ["red", "red"]


@pytest.mark.parametrize(
    ("endpoint", "data", "why"),
    [
        ("search_text", ("", 3, "", 0), "The text is empty; give a sentence."),
        ("search_text", ("wug", 3, "", 0), "No word of the text is known to this model: wug"),
        ("search_text", ("x" * 100_000, 3, "", 0), "The text has 100,000 characters"),
        ("search_text", ("\0\x1b", 3, "", 0), "The text is empty; give a sentence."),
        ("search_text", ("red", 0, "", 0), "Count must be from 1 to 100, not 0."),
        ("search_text", ("red", 10**9, "", 0), "Count must be from 1 to 100"),
        ("search_text", ("red", "many", "", 0), ""),
        ("search_text", ("red", None, "", 0), "Count must be a number from 1 to 100."),
        ("search_image", (None, "", 3), "Give a picture."),
        ("encode", ("", None), "Give either a text or a picture."),
    ],
)
def test_errors_are_sentences(url, endpoint, data, why) -> None:
    answer = run(url, endpoint, *data)
    assert answer.status_code == 500
    assert (answer.json()["error"] or "").startswith(why)
    told = answer_of(url, endpoint, *data)
    assert told.startswith("event: error")
    assert "Traceback" not in told


@pytest.mark.parametrize("text", ["قطة red", "red 😀\u202e", "红 red"])
def test_any_script(url, text) -> None:
    found = run(url, "search_text", text, 2, "", 0).raise_for_status().json()["data"][0]
    assert len(found["pictures"]) == 2


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none(url, number) -> None:
    for data, why in (
        (f'["red", {number}, "", 0]', "Count must be a number from 1 to 100."),
        (f'["red", 3, "", {number}]', "Clear must be a number, e.g. 2.5."),
    ):
        answer = httpx.post(
            f"{url}gradio_api/run/search_text", content=f'{{"data": {data}}}', timeout=60
        )
        assert (answer.status_code, answer.json()["error"]) == (500, why)


def test_half_a_character(url) -> None:
    body = '{"data": ["red \\ud800", 2, ""]}'
    answer = httpx.post(
        f"{url}gradio_api/run/search_text",
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
        answer = run(url, "search_image", uploaded(url, name, data), "", 3)
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
        for endpoint, data in (("search_image", (given, "", 3)), ("encode", ("", given))):
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
