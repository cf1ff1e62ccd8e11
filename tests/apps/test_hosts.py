from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from cmr_hub.apps.hosts import SPACE_HOST, Hosts, declared_hosts, host_name, is_every_address


def asked(host: str, given: str, *allowed: str, **headers: str) -> int:
    """What a post to an app on `host` is answered, for the `Host` given."""

    async def told(request: Request) -> JSONResponse:
        return JSONResponse(dict(request.headers))

    hosts = Hosts(Starlette(routes=[Route("/", told, methods=["GET", "POST"])]), host, allowed)

    async def app(scope, receive, send) -> None:
        # The client says that the server is whatever it was asked for.
        await hosts({**scope, "server": ("10.9.8.7", 7860)}, receive, send)

    client = TestClient(app, base_url=f"http://{given}")
    answer = client.post("/", headers=headers)
    assert "access-control-allow-origin" not in answer.headers
    if answer.status_code == 200:
        told = answer.json()
        assert "origin" not in told
        assert told.get("x-forwarded-host") in (None, "photos.example")
    return answer.status_code


@pytest.mark.parametrize(
    ("host", "given", "allowed", "code"),
    [
        ("127.0.0.1", "127.0.0.1:7860", (), 200),
        ("127.0.0.1", "LOCALHOST:7860", (), 200),
        ("127.0.0.1", "[::1]:7860", (), 200),
        ("127.0.0.2", "127.0.0.2", (), 200),
        ("127.0.0.1", "127.0.0.2", (), 403),
        ("127.0.0.1", "other.example", (), 403),
        ("0.0.0.0", "other.example", (), 403),
        ("0.0.0.0", "192.168.0.9", (), 403),
        ("0.0.0.0", "photos.example", ("photos.example",), 200),
        ("127.0.0.1", "photos.example:8080", ("photos.example",), 200),
        ("127.0.0.1", "photos.example.other.example", ("photos.example",), 403),
    ],
)
def test_names(host, given, allowed, code) -> None:
    assert asked(host, given, *allowed) == code


def test_origins() -> None:
    forwarded = {"X-Forwarded-Host": "other.example"}
    assert asked("127.0.0.1", "127.0.0.1:1", Origin="http://127.0.0.1:1", **forwarded) == 200
    assert asked("127.0.0.1", "127.0.0.1:1", Origin="http://127.0.0.1:2") == 403
    assert asked("127.0.0.1", "127.0.0.1:1", Origin="http://localhost:1") == 403
    assert asked("127.0.0.1", "127.0.0.1", Origin="null") == 403
    forwarded = {"X-Forwarded-Host": "photos.example"}
    assert asked("127.0.0.1", "127.0.0.1", "photos.example", **forwarded) == 200
    # A proxy may ask for another name than its visitors.
    assert asked("127.0.0.1", "127.0.0.1", "photos.example", Origin="https://photos.example") == 200
    assert asked("127.0.0.1", "127.0.0.1", "photos.example", Origin="https://other.example") == 403


def test_a_space(monkeypatch) -> None:
    """On the Hub the page is asked for by the Space's name, and framed by the Hub."""
    monkeypatch.setenv(SPACE_HOST, "somebody-photos.hf.space")
    origin = "https://somebody-photos.hf.space"
    assert asked("0.0.0.0", "somebody-photos.hf.space", Origin=origin) == 200
    assert asked("0.0.0.0", "else-photos.hf.space") == 403
    app = Hosts(Starlette(), "0.0.0.0")
    client = TestClient(app, base_url=origin)
    policy = client.get("/").headers["content-security-policy"]
    assert policy.endswith("frame-ancestors 'self' https://huggingface.co https://*.huggingface.co")


def test_a_machine_is_asked_by_its_address() -> None:
    """With --host 0.0.0.0 the address that was connected to is a name of the page."""

    async def code(host: str) -> int:
        seen: list[int] = []

        async def note(message: dict[str, object]) -> None:
            seen.append(message.get("status", 0))

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/",
            "headers": [(b"host", host.encode())],
            "server": ("192.168.0.9", 7860),
        }
        await Hosts(Starlette(), "0.0.0.0")(scope, None, note)
        return seen[0]

    def run(host: str) -> int:
        coroutine = code(host)
        with pytest.raises(StopIteration) as ended:
            coroutine.send(None)
        return ended.value.value

    assert run("192.168.0.9:7860") == 404
    assert run("192.168.0.8:7860") == 403


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("A.b:80", "a.b"),
        ("[::1]:80", "::1"),
        ("a/b", None),
        ("u@a", None),
        ("a:b", None),
        ("", None),
    ],
)
def test_host_names(given, name) -> None:
    assert host_name(given) == name


def test_declared_hosts(monkeypatch) -> None:
    monkeypatch.delenv(SPACE_HOST, raising=False)
    local = {"localhost", "127.0.0.1", "::1"}
    assert declared_hosts("0.0.0.0", ["Photos.example "]) == local | {"photos.example"}
    assert declared_hosts("[fe80::1]") == local | {"fe80::1"}
    assert is_every_address("::")
    assert is_every_address("0.0.0.0")
    assert not is_every_address("localhost")
