"""What a stranger tries, on every route that the running page has.

The routes are taken from the app: its own, Gradio's route table and OpenAPI, MCP's, and the events
of Gradio's configuration. One that is in no table here fails, so that whoever adds one says what
it is for.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from PIL import Image

from cmr_hub.apps.search_page import build_page, serve, server
from cmr_hub.apps.search_page.query_options import QueryOptions

API = "/gradio_api"
SERVED = {
    "/": "GET",
    "/config": "GET",
    "/theme.css": "GET",
    "/favicon.ico": "GET",
    "/manifest.json": "GET",
    "/robots.txt": "GET",
    "/assets/{}": "GET",
    "/static/{}": "GET",
    "/svelte/{}": "GET",
    "/picture": "GET",
    "/search": "GET POST",
    "/search_text": "GET",
    "/search_image": "POST",
    "/encode": "GET POST",
    "/facets": "GET",
    "/item/{}": "GET",
    "/health": "GET",
    "/openapi.json": "GET",
    f"{API}/app_id": "GET",
    f"{API}/info": "GET",
    f"{API}/theme.css": "GET",
    f"{API}/startup-events": "GET",
    f"{API}/heartbeat/{{}}": "GET",
    f"{API}/queue/data": "GET",
    f"{API}/queue/status": "GET",
    f"{API}/queue/join": "POST",
    f"{API}/run/{{}}": "POST",
    f"{API}/api/{{}}": "POST",
    f"{API}/call/{{}}": "POST",
    f"{API}/call/v2/{{}}": "POST",
    f"{API}/call/{{}}/{{}}": "GET",
    f"{API}/call/v2/{{}}/{{}}": "GET",
    f"{API}/cancel": "POST",
    f"{API}/reset": "POST",
    f"{API}/upload": "POST",
    f"{API}/upload_progress": "GET",
    f"{API}/file={{}}": "GET",
    f"{API}/mcp": "GET POST DELETE",
    f"{API}/mcp/messages": "POST",
    f"{API}/mcp/schema": "GET",
    f"{API}/mcp/sse": "GET",
}
CLOSED = {
    "/login",
    "/logout",
    "/monitoring",
    "/monitoring/summary",
    "/monitoring/{}",
    "/pwa_icon",
    "/pwa_icon/{}",
    f"{API}/component_server",
    f"{API}/custom_component/{{}}/{{}}/{{}}/{{}}",
    f"{API}/deep_link",
    f"{API}/dev/reload",
    f"{API}/file/{{}}",
    f"{API}/login_check",
    f"{API}/openapi.json",
    f"{API}/process_recording",
    f"{API}/proxy={{}}",
    f"{API}/runs",
    f"{API}/stream/{{}}",
    f"{API}/stream/{{}}/close",
    f"{API}/stream/{{}}/{{}}/{{}}/playlist-file",
    f"{API}/stream/{{}}/{{}}/{{}}/playlist.m3u8",
    f"{API}/stream/{{}}/{{}}/{{}}/{{}}.{{}}",
    f"{API}/token",
    f"{API}/undo-vibe-edit",
    f"{API}/user",
    f"{API}/vibe-code",
    f"{API}/vibe-edit",
    f"{API}/vibe-starter-queries",
}
STREAMS = (f"{API}/heartbeat", f"{API}/queue/data", f"{API}/mcp/sse", f"{API}/call")
EVENTS = {
    *("ask", "ask_1", "ask_2", "ask_3", "refine", "refine_1", "more", "more_1"),
    *("like", "like_1", "like_2", "like_3", "open", "open_1", "open_2", "open_3"),
    *(
        "look",
        "look_1",
        "_chosen_example",
        "restore",
        "back",
        "add",
        "forget",
        "forget_1",
        "header",
    ),
    *("programs_text", "search", "encode", "facets", "item"),
}
TAKERS = ("run", "api", "call", "call/v2", "queue")
BROWSER = httpx.Client(timeout=60)
NOT_YOURS = {"error": "Use a file that you have uploaded to this page in this visit."}


@pytest.fixture(scope="module")
def page(model) -> Iterator[object]:
    pytest.importorskip("mcp", reason="needs the extra mcp")
    made = build_page(model)
    yield made
    made.close()


@pytest.fixture(scope="module")
def site(page) -> str:
    return serve(page, host="127.0.0.1", port=None, block=False, mcp=True).rstrip("/")


@pytest.fixture
def trap() -> Iterator[tuple[str, list[str]]]:
    """Another machine, and what it was asked."""
    asked: list[str] = []

    class Told(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Told)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


def shape(path: str) -> str:
    """A path as the tables have it."""
    return re.sub(r"\{[^}]*\}", "{}", path).rstrip("/") or "/"


def routes(listed: list[object], before: str = "") -> Iterator[str]:
    for route in listed:
        path = before + getattr(route, "path", "")
        inner = getattr(route, "routes", None)
        if inner:
            yield from routes(inner, path)
        elif hasattr(route, "path"):
            yield shape(path)


def of_the_app(page) -> set[str]:
    app = page.blocks.app
    return {*routes(page.routes), *routes(app.routes), *map(shape, app.openapi()["paths"])}


def made(path: str) -> str:
    return path.format(*["x.x"] * 5) if "{}" in path else path


def ask(method: str, address: str, **more: object) -> httpx.Response:
    """Only the head of an answer that goes on."""
    with BROWSER.stream(method, address, timeout=60, **more) as answer:
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            answer.read()
        return answer


def each_served() -> list[tuple[str, str]]:
    return [(method, path) for path, methods in SERVED.items() for method in methods.split()]


def test_every_route_is_known(page, site) -> None:
    found = of_the_app(page)
    assert len(found) > 50
    assert found <= {*SERVED, *CLOSED}, "say in a table whether the page needs these"
    assert {*SERVED, *CLOSED} <= found, "these are no longer there"
    names = {event["api_name"] for event in page.blocks.config["dependencies"]}
    assert names == EVENTS


@pytest.mark.parametrize("path", sorted(CLOSED))
def test_what_the_page_does_not_use_is_not_there(site, path) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert ask(method, site + made(path)).status_code == 404, method


@pytest.mark.parametrize(("method", "path"), each_served())
def test_other_hosts_and_origins(site, method, path) -> None:
    address = site + made(path)
    for host in ("other.example", "127.0.0.1.other.example", "", "a@127.0.0.1", "127.0.0.1:x"):
        answer = ask(method, address, headers={"Host": host})
        assert answer.status_code in (400, 403), host
        assert "access-control-allow-origin" not in answer.headers
    for origin in ("http://other.example", "null", "http://127.0.0.1", "http://localhost:1"):
        if method == "GET" and path.startswith(STREAMS):
            continue  # they would only wait
        answer = ask(method, address, headers={"Origin": origin})
        assert "access-control-allow-origin" not in answer.headers, origin
        if method != "GET":
            assert answer.status_code == 403, origin
    before = {"Origin": "http://other.example", "Access-Control-Request-Method": method}
    assert ask("OPTIONS", address, headers=before).status_code in (403, 404)


AT_ONCE = [
    (method, path)
    for method, path in each_served()
    if method != "GET" or not path.startswith((f"{API}/call", f"{API}/mcp"))
]
"""All but those that wait for an event."""
TAKING_JSON = [
    path
    for path, methods in SERVED.items()
    if path.startswith(API) and "POST" in methods and not path.endswith("/upload")
]


@pytest.mark.parametrize(("method", "path"), AT_ONCE)
def test_every_answer_says_what_a_browser_may_load(site, method, path) -> None:
    answer = ask(method, site + made(path))
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy or "default-src 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    if path == "/":
        assert "frame-ancestors 'self'" in policy
        assert "form-action 'none'" in policy
        assert "img-src 'self' data: blob:;" in policy


@pytest.mark.parametrize(("method", "path"), [one for one in each_served() if one[0] == "POST"])
def test_too_large_bodies(site, method, path) -> None:
    most = 260 * 2**20 if path.endswith("/upload") else 20 * 2**20
    if path.startswith(API) and not path.endswith("/upload"):
        most = 1_000_000
    # Told from the head alone, before anything of the body has come.
    address = httpx.URL(site)
    with socket.create_connection((address.host, address.port), timeout=20) as line:
        line.sendall(
            f"POST {made(path)} HTTP/1.1\r\nHost: {address.host}\r\n"
            f"Content-Length: {most + 1}\r\n\r\n".encode()
        )
        assert line.recv(1000).split()[1] == b"413"


@pytest.mark.parametrize("path", TAKING_JSON)
def test_json_without_end(site, path) -> None:
    address = site + made(path)
    for body in (
        b'{"data": [' + b"[]," * 2_000 + b"[]]}",
        b'{"data": ' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"data": [' + b",".join([b"[" + b"1," * 900 + b"1]"] * 20) + b"]}",
    ):
        assert BROWSER.post(address, content=body).status_code == 413
    assert BROWSER.post(address, content=b"[" * 100_000).status_code == 400
    sent = BROWSER.post(address, content=(b"x" * 100_000 for _ in range(20)))
    assert sent.status_code == 413
    assert sent.json()["error"].startswith("The request is too large")


def payloads(path: str) -> Iterator[object]:
    """A path in all the forms in which Gradio's parts take one."""
    meta = {"_type": "gradio.FileData"}
    yield {"path": path}
    yield {"path": path, "meta": meta}
    yield {"path": path, "url": f"/gradio_api/file={path}", "meta": meta, "is_stream": True}
    yield {"path": None, "url": path, "meta": meta}
    yield [{"path": path, "meta": meta}]
    yield {"value": {"path": path, "meta": meta}, "visible": True}
    yield {"root": [{"path": path}]}


def asked(site: str, taker: str, event: dict[str, object], payload: object) -> httpx.Response:
    """One event with the payload wherever it takes anything."""
    data = [payload] * max(len(event["inputs"]), 1)
    body: dict[str, object] = {"data": data, "event_data": payload, "fn_index": event["id"]}
    if taker == "queue":
        return BROWSER.post(
            f"{site}{API}/queue/join", json=body | {"session_hash": "a"}, timeout=60
        )
    if taker == "call/v2":
        body = dict.fromkeys(("text", "picture", *QueryOptions.model_fields), payload)
    return BROWSER.post(f"{site}{API}/{taker}/{event['api_name']}", json=body, timeout=60)


@pytest.mark.parametrize("taker", TAKERS)
def test_only_uploads_are_opened(page, site, taker, tmp_path, monkeypatch) -> None:
    """Nothing is told apart: a file, a picture, a folder, a device, another's, and nothing."""
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    there = {
        *("/etc/hostname", "/dev/zero", "/etc", str(tmp_path / "a.png")),
        str(page.files.path),
        f"{page.files.path}/../a.png",
    }
    stats: list[str] = []
    look, opened = os.stat, open

    def noted(path: object, *rest: object, **named: object) -> object:
        stats.append(str(path))
        return look(path, *rest, **named)

    def noted_open(path: object, *rest: object, **named: object) -> object:
        stats.append(str(path))
        return opened(path, *rest, **named)

    monkeypatch.setattr("builtins.open", noted_open)
    monkeypatch.setattr(os, "stat", noted)
    # What only programs use takes the three endpoints that are made for them.
    events = page.blocks.config["dependencies"]
    named = [event for event in events if event["api_name"] in ("search", "encode", "item")]
    for event in events if taker in ("run", "queue") else named:
        plain = [{"path": path} for path in (*there, "/none", "none", 3, None)]
        for payload in (*plain, *payloads("/etc/hostname")):
            answer = asked(site, taker, event, payload)
            assert answer.status_code == 400, (event["api_name"], payload)
            assert answer.json() == NOT_YOURS
    assert not there & set(stats)


@pytest.mark.parametrize("taker", TAKERS)
def test_nothing_is_fetched(page, site, taker, trap) -> None:
    elsewhere, heard = trap
    for event in page.blocks.config["dependencies"]:
        for payload in payloads(f"{elsewhere}/x.png"):
            assert asked(site, taker, event, payload).json() == NOT_YOURS
    for path in (f"file={elsewhere}/x", f"proxy={elsewhere}/x", f"file/{elsewhere}/x"):
        assert BROWSER.get(f"{site}{API}/{path}").status_code == 404
    assert heard == []


def test_mcp_fetches_nothing(site, trap) -> None:
    elsewhere, heard = trap
    for picture in (f"{elsewhere}/x.png", "/etc/hostname", {"path": "/etc/hostname"}):
        body = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "search", "arguments": {"image": picture}},
        }
        wanted = {"Accept": "application/json, text/event-stream"}
        answer = BROWSER.post(f"{site}{API}/mcp/", json=body, headers=wanted, timeout=60)
        told = json.loads(answer.text.partition("data: ")[2])
        assert told["result"]["isError"]
    assert heard == []


def sent(site: str, picture: bytes, **more: object) -> httpx.Response:
    return BROWSER.post(f"{site}{API}/upload", files={"files": ("a.png", picture)}, **more)


def search(site: str, path: str, session: str) -> httpx.Response:
    data = [*(QueryOptions().model_dump() | {"image": {"path": path}}).values()]
    body = {"data": data, "session_hash": session}
    return BROWSER.post(f"{site}{API}/run/search", json=body, timeout=60)


def test_an_upload_is_of_one_session(page, site, red_square) -> None:
    (path,) = sent(site, red_square.read_bytes()).json()
    assert search(site, path, "mine").status_code == 200
    for session in ("theirs", None):
        answer = search(site, path, session)
        assert (answer.status_code, answer.json()) == (400, NOT_YOURS)
    (again,) = sent(site, red_square.read_bytes()).json()
    assert Path(again).parent != Path(path).parent
    inside = f"{Path(path).parent}/../{Path(path).parent.name}/{Path(path).name}"
    assert search(site, inside, "mine").json() == NOT_YOURS
    # Its address is shown to whoever knows it, as a picture and nothing else.
    shown = BROWSER.get(f"{site}{API}/file={path}")
    assert shown.content == red_square.read_bytes()
    assert "sandbox" in shown.headers["content-security-policy"]
    page.files.forget("mine")
    assert BROWSER.get(f"{site}{API}/file={path}").status_code == 404
    assert not Path(path).exists()


def test_only_own_uploads_are_removed(page, site, red_square) -> None:
    """My pictures removes what it has read, and nothing that it was only told of."""
    (event,) = [one for one in page.blocks.config["dependencies"] if one["api_name"] == "add"]
    (path,) = sent(site, red_square.read_bytes()).json()
    assert search(site, path, "owner").status_code == 200
    for given in (str(red_square), path):
        body = {
            "data": [[{"path": given, "meta": {"_type": "gradio.FileData"}}]],
            "fn_index": event["id"],
            "session_hash": "stranger",
        }
        answer = BROWSER.post(f"{site}{API}/run/add", json=body, timeout=60)
        assert answer.json() == NOT_YOURS
    page.files.remove([str(red_square)])
    assert red_square.exists()
    assert Path(path).exists()


def test_names_of_uploads(site) -> None:
    for name in ("../../x.png", "/etc/x.png", "..", "a\\b.png", "\u202egnp.x", "x" * 300 + ".png"):
        (path,) = BROWSER.post(f"{site}{API}/upload", files={"files": (name, b"x")}).json()
        assert Path(path).is_file()
        assert len(Path(path).name.encode()) < 255
        assert ".." not in path


def test_a_form_that_is_none(site) -> None:
    for body, kind in (
        (b"x", "multipart/form-data; boundary=a"),
        (b"x", "multipart/form-data"),
        (b"{}", "application/json"),
        (b"--a\r\n" * 1000, "multipart/form-data; boundary=a"),
    ):
        answer = BROWSER.post(f"{site}{API}/upload", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 400
        assert answer.json()["error"].endswith(".")


def test_a_head_that_never_ends(site, monkeypatch) -> None:
    monkeypatch.setattr(server, "HEAD_SECONDS", 1.0)
    with (
        suppress(ConnectionError),
        socket.create_connection((httpx.URL(site).host, httpx.URL(site).port), timeout=20) as line,
    ):
        line.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        assert line.recv(100) == b""
