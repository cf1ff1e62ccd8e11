"""One visitor costs the others little: in memory, in time, and in turns."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.responses import PlainTextResponse

from cmr_hub.apps.search_page import build_page, limits, pictures, serve, server, uploads
from cmr_hub.apps.search_page.limits import Limits, Work, address_of
from cmr_hub.apps.search_page.panel import Handlers
from cmr_hub.apps.search_page.query_options import QueryOptions
from cmr_hub.apps.search_page.uploads import (
    BusyError,
    decoding,
    pictures_in,
    read_upload,
)
from cmr_hub.datasets import images
from cmr_hub.datasets.images import read_image


@pytest.fixture
def site(model, monkeypatch) -> Iterator[str]:
    """A page of this test alone: nobody else has asked it for anything."""
    page = build_page(model)
    yield serve(page, host="127.0.0.1", port=None, block=False)
    page.close()


def png(width: int, height: int, mode: int = 2, *, cut: bool = False) -> bytes:
    """A PNG of one colour, small however many pixels it has; `cut` before they are all there."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        sum_ = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + sum_

    row = b"\0" * (1 + width * (4 if mode == 6 else 3))
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row) for _ in range(height // (2 if cut else 1)))
    packed += packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, mode, 0, 0, 0)
    end = b"" if cut else chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + end


def test_pixels_in_flight_are_bounded_over_all(monkeypatch) -> None:
    at_once: list[int] = []
    most, lock = 0, threading.Lock()

    def decode(count: int) -> None:
        nonlocal most
        with decoding(count):
            with lock:
                at_once.append(count)
                most = max(most, sum(at_once))
            time.sleep(0.02)
            with lock:
                at_once.remove(count)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(decode, [30_000_000] * 20))
    assert 60_000_000 <= most <= uploads.MAX_LARGE


def test_small_pictures_do_not_wait_for_large_ones(monkeypatch) -> None:
    monkeypatch.setattr(uploads, "_SECONDS", 0.05)
    with decoding(89_000_000):
        started = time.perf_counter()
        with decoding(1_000_000):
            pass
        assert time.perf_counter() - started < 0.04
        with pytest.raises(BusyError, match="too many large pictures"), decoding(50_000_000):
            pass
    with decoding(50_000_000):
        pass


def test_no_more_than_some_wait(monkeypatch) -> None:
    monkeypatch.setattr(uploads, "_large", uploads._Lane(10, max_waiting=1))
    go = threading.Event()

    def wait() -> None:
        with decoding(5_000_000):
            go.wait(20)

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(wait) for _ in range(2)]
        while not uploads._large._waiting:
            time.sleep(0.01)
        with pytest.raises(BusyError), decoding(5_000_000):
            pass
        go.set()
        for one in asked:
            one.result()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16"])
def test_strips_give_the_same_picture(mode, monkeypatch, tmp_path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (37, 23, 4), np.uint8)
    if mode == "I;16":
        image = Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(noise, "RGBA").convert(mode)
    if mode == "P":
        image.info["transparency"] = 7
    image.save(tmp_path / "a.png")
    whole = np.asarray(read_image(tmp_path / "a.png"))
    monkeypatch.setattr(images, "_STRIP_PIXELS", 100)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.png")), whole)


def test_a_large_picture_is_held_small(tmp_path) -> None:
    (tmp_path / "a.png").write_bytes(png(7_000, 7_000))
    assert read_upload(tmp_path / "a.png").size == (2_334, 2_334)


@pytest.mark.parametrize(("count", "why"), [(2_000, "million pixels"), (200, "million pixels")])
def test_a_zip_is_counted_before_anything_is_decoded(tmp_path, monkeypatch, count, why) -> None:
    monkeypatch.setattr(
        "cmr_hub.apps.search_page.uploads.decode_image", lambda *_, **__: pytest.fail("decoded")
    )
    picture = png(7_000, 7_000, cut=True)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(count):
            file.writestr(f"{number}.png", picture)
    assert (tmp_path / "a.zip").stat().st_size < 30_000_000
    started = time.perf_counter()
    ((_, found),) = pictures_in([tmp_path / "a.zip"])
    assert why in str(found)
    assert time.perf_counter() - started < 5


def test_a_zip_that_unpacks_to_much(tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(30):
            file.writestr(f"{number}.png", b"\0" * (19 * 2**20))
    ((_, found),) = pictures_in([tmp_path / "a.zip"])
    assert "more than 512 MB of pictures" in str(found)


def test_reading_stops_with_its_visitor(model, tmp_path) -> None:
    page = build_page(model)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for number in range(100):
            file.writestr(f"{number}.png", png(10, 10))
    own = page.sessions.open("a")
    steps = own.add([tmp_path / "a.zip"])
    assert next(steps).added == 8
    page.sessions.close("a")
    assert [step.added for step in steps] == [8]
    page.close()


@pytest.mark.parametrize("place", [6, 7], ids=["labels", "sources"])
def test_long_lists_are_refused(site, place) -> None:
    data: list[object] = ["dog", None, "", 1, 3, "Pictures", [], [], 0, 0, False]
    data[place] = ["red"] * 300_000
    started = time.perf_counter()
    body = {"data": data, "fn_index": 0, "session_hash": "a"}
    answer = httpx.post(f"{site}gradio_api/run/search", json=body, timeout=60)
    assert answer.status_code == 413
    assert time.perf_counter() - started < 3


def test_long_choices_are_refused(engine) -> None:
    handlers = Handlers(lambda request: engine, "Ask.", ("label",))

    def said(labels: object) -> str:
        given = ("red", None, "", 1, 3, "Pictures", 0, 0, False, "", None, None, None, labels)
        return str(handlers.ask(None, *given)[0]["status"])

    assert "at most 300" in said(["red"] * 301)
    assert said("red") == "The values of a filter must be a list; choose them from the filter."
    assert said(["red"] * 300).startswith("3 pictures found")


def held(site: str, head: bytes, count: int = 1) -> list[socket.socket]:
    address = httpx.URL(site)
    lines = []
    for _ in range(count):
        lines.append(socket.create_connection((address.host, address.port), timeout=20))
        lines[-1].sendall(head)
    return lines


def test_idle_sockets_stop_nobody(site, monkeypatch) -> None:
    """130 requests that never get whole: the others are served, and they end."""
    monkeypatch.setattr(limits, "BODY_SECONDS", 4.0)
    head = b"POST /encode HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\nx"
    lines = held(site, head, 130)
    started = time.perf_counter()
    found = httpx.get(f"{site}search", params={"text": "a red square"}, timeout=5)
    assert found.status_code == 200
    assert time.perf_counter() - started < 3
    said = [line.recv(1000) for line in lines]
    assert all(b" 408 " in one for one in said)
    assert b"The request arrived too slowly" in said[0] + lines[0].recv(1000)
    assert time.perf_counter() - started < 15


def test_a_slow_upload_ends(site, monkeypatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.3)
    head = (
        b"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n--b\r\n"
    )
    (line,) = held(site, head)
    assert b" 408 " in line.recv(1000)


def test_no_address_has_all_connections(site, monkeypatch) -> None:
    monkeypatch.setattr(server, "MAX_PER_ADDRESS", 5)
    lines = held(site, b"GET / HTTP/1.1\r\n", 9)
    closed: set[int] = set()
    deadline = time.monotonic() + 8  # a slow request is ended after 10
    while len(closed) < 4 and time.monotonic() < deadline:
        closed |= {number for number, line in enumerate(lines) if is_closed(line)}
    assert len(closed) == 4
    assert sum(map(is_closed, lines)) == 4


def is_closed(line: socket.socket) -> bool:
    line.settimeout(0.1)
    try:
        return line.recv(10) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_one_address_waits_for_itself(monkeypatch) -> None:
    """It has so many turns and places; another address is answered meanwhile."""
    monkeypatch.setattr(limits, "MAX_CONCURRENT", 2)
    monkeypatch.setattr(limits, "MAX_WAITING", 3)
    codes: dict[str, list[int]] = {"a": [], "b": []}
    most = 0

    async def scene() -> None:
        go, running = asyncio.Event(), 0

        async def app(scope, receive, send) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            if scope["client"][0] == "a":
                await go.wait()
            running -= 1
            await PlainTextResponse("")(scope, receive, send)

        limited = Limits(lambda _: app, Work(), lambda _: 0)

        async def ask(address: str) -> None:
            async def nothing() -> dict[str, object]:
                return {"type": "http.disconnect"}

            async def noted(message: dict[str, object]) -> None:
                if "status" in message:
                    codes[address].append(message["status"])

            scope = {"type": "http", "method": "GET", "path": "/encode", "client": (address, 1)}
            await limited(scope, nothing, noted)

        crowd = [asyncio.create_task(ask("a")) for _ in range(9)]
        await asyncio.sleep(0.1)
        assert codes["a"] == [429] * 4
        await ask("b")
        go.set()
        await asyncio.gather(*crowd)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, scene()).result()
    assert codes == {"a": [429] * 4 + [200] * 5, "b": [200]}
    assert most == 3


def test_the_queue_is_not_one_visitors(site, monkeypatch) -> None:
    monkeypatch.setattr(limits, "QUEUED", 0)
    answer = httpx.post(f"{site}gradio_api/call/encode", json={"data": ["red", None]})
    assert answer.status_code == 429


def test_sessions_of_an_address_are_counted(site, monkeypatch) -> None:
    monkeypatch.setattr(limits, "SESSIONS", 3)
    data = [*QueryOptions(text="red").model_dump().values()]
    codes = [
        httpx.post(
            f"{site}gradio_api/call/search",
            json={"data": data, "session_hash": f"visit{number}"},
        ).status_code
        for number in (0, 1, 2, 3, 0)
    ]
    assert codes == [200, 200, 200, 429, 200]


def test_work_is_paid_back_in_time(monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr(limits, "time", SimpleNamespace(monotonic=lambda: now[0]))
    work = Work()
    for _ in range(1000):
        work.spend("a", 0.09)  # what is short is free
    assert not work.is_spent("a")
    work.spend("a", 19.0)
    assert not work.is_spent("a")
    work.spend("a", 3.0)
    assert work.is_spent("a")
    assert not work.is_spent("b")
    now[0] = 9.0
    assert not work.is_spent("a")


def test_much_work_ends_in_429(site, model, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(limits, "FREE_SECONDS", 0.0)
    monkeypatch.setattr(limits, "BURST_SECONDS", 0.05)
    monkeypatch.setattr(limits, "REFILL", 0.0)
    picture = png(3_000, 3_000)
    codes = [httpx.post(f"{site}encode", content=picture).status_code for _ in range(3)]
    assert codes == [200, 429, 429]
    told = httpx.get(f"{site}search", params={"text": "red"})
    why = "Your requests have used too much computing time; try again in a minute."
    assert told.json() == {"error": why}
    run = httpx.post(f"{site}gradio_api/run/encode", json={"data": ["red", None]})
    assert run.status_code == 429
    assert httpx.get(site).status_code == 200


def test_addresses() -> None:
    assert address_of({"client": ("10.0.0.1", 5)}) == "10.0.0.1"
    home = {address_of({"client": (f"2001:db8:1:2:{end}::1", 5)}) for end in ("a", "b")}
    assert len(home) == 1
    assert address_of({"client": None}) == ""


def test_a_picture_asked_for_four_times(model, tmp_path, monkeypatch) -> None:
    """The same 89 megapixels at once take the memory of one."""
    at_once, most, lock = 0, 0, threading.Lock()

    def noted(*given: object, **named: object) -> Image.Image:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        try:
            time.sleep(0.05)
            return Image.new("RGB", (4, 4))
        finally:
            with lock:
                at_once -= 1

    monkeypatch.setattr(pictures, "read_image", noted)
    (tmp_path / "a.png").write_bytes(png(9_433, 9_433, 6))
    assert (tmp_path / "a.png").stat().st_size < 400_000
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda _: pictures.jpeg(tmp_path / "a.png", 480), range(4)))
    assert len(set(drawn)) == 1
    assert most == 1
