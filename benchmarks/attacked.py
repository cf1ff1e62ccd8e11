"""Latency of ordinary visitors of the search page during attacks of several kinds.

    python -m benchmarks attacked            # 20 visitors, 10 seconds of each kind
    python benchmarks/attacked.py 20 10 large_pictures zips

`cmr demo` serves a gallery of small drawings and one picture of 89 megapixels in a separate
process, on the same CPUs as visitors and attacker. Each visitor searches for a sentence, fetches
the pictures found, and pauses; the attacker uses another address of this machine. The latency of
the visitors is compared with that of a period without an attack in the same run. Memory is the peak
of the page's process.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import numpy as np
from page import free_port, queries
from PIL import Image

from cmr_hub.apps.search_page.query_options import QueryOptions

ROOT = Path(__file__).parents[1]
ATTACKER = "127.0.0.2"
READING = (0.2, 0.6)
PICTURES = 30
CMR = (sys.executable, "-c", "from cmr_hub.cli import main; main()")


def png(width: int, height: int, *, alpha: bool = False, cut: bool = False) -> bytes:
    """Return a PNG of one colour, which is a small file for any number of pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    packer = zlib.compressobj(9)
    row = b"\0" * (1 + width * (4 if alpha else 3))
    rows = b"".join(packer.compress(row) for _ in range(height // (2 if cut else 1)))
    head = struct.pack(">IIBBBBB", width, height, 8, 6 if alpha else 2, 0, 0, 0)
    data = chunk(b"IHDR", head) + chunk(b"IDAT", rows + packer.flush())
    return b"\x89PNG\r\n\x1a\n" + data + (b"" if cut else chunk(b"IEND", b""))


def zipped(count: int) -> bytes:
    file, picture = io.BytesIO(), png(7_000, 7_000, cut=True)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for number in range(count):
            made.writestr(f"{number}.png", picture)
    return file.getvalue()


async def again(
    page: httpx.AsyncClient, at_once: int, ask: Callable[[], Awaitable[object]]
) -> None:
    """Repeat an attack without pauses, several times at once, even if requests are refused."""

    async def one() -> None:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                await ask()
            await asyncio.sleep(0)

    await asyncio.gather(*(one() for _ in range(at_once)))


async def large_pictures(page: httpx.AsyncClient) -> None:
    """D1: request the picture of 89 megapixels, four times at once."""
    await again(page, 4, lambda: page.get("/picture", params={"id": "large.png"}))


async def large_queries(page: httpx.AsyncClient) -> None:
    """Search with pictures of 49 megapixels."""
    body = png(7_000, 7_000)
    await again(page, 8, lambda: page.post("/search", content=body))


async def zips(page: httpx.AsyncClient) -> None:
    """D2: upload zip files of truncated pictures, and add them to My pictures."""
    config = (await page.get("/config")).json()
    event = next(one["id"] for one in config["dependencies"] if one["api_name"] == "add")
    files = [zipped(200), zipped(45)]

    async def ask() -> None:
        name, data = f"{random.random()}.zip", random.choice(files)
        sent = await page.post("/gradio_api/upload", files={"files": (name, data)})
        if sent.status_code == 200:
            given = [{"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}}]
            body = {"data": [given], "fn_index": event, "session_hash": name[:20]}
            await page.post("/gradio_api/queue/join", json=body)

    await again(page, 4, ask)


async def long_lists(page: httpx.AsyncClient) -> None:
    """D3: send requests with 300,000 sources."""
    data = ["dog", None, "", 1, 3, "Pictures", 0, 0, False, "", "", "", ["dog"] * 300_000]
    body = json.dumps({"data": data, "fn_index": 0, "session_hash": "a"}).encode()
    await again(page, 4, lambda: page.post("/gradio_api/run/ask", content=body))


async def large_json(page: httpx.AsyncClient) -> None:
    """D4: send bodies of 8 MB of nested lists, and of endless text."""
    lists = b'{"data": [' + b"[]," * 2_700_000 + b"[]]}"
    await again(page, 2, lambda: page.post("/gradio_api/run/encode", content=lists))


async def idle_sockets(page: httpx.AsyncClient) -> None:
    """D6: open 130 requests and send one byte of each."""
    head = b"POST /encode HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\nx"

    async def one() -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(
                    page.base_url.host, page.base_url.port, local_addr=(ATTACKER, 0)
                )
                writer.write(head)
                await reader.read()
                writer.close()
            await asyncio.sleep(0.1)

    await asyncio.gather(*(one() for _ in range(130)))


async def many_queries(page: httpx.AsyncClient) -> None:
    """Search for sentences, 64 at once."""
    asked = queries(5_000)
    await again(page, 64, lambda: page.get("/search", params={"text": random.choice(asked)}))


async def many_events(page: httpx.AsyncClient) -> None:
    """Send events to Gradio's queue without fetching the results."""
    body = {"data": [*QueryOptions(text="a red bus").model_dump().values()]}
    await again(page, 16, lambda: page.post("/gradio_api/call/search", json=body))


async def many_uploads(page: httpx.AsyncClient) -> None:
    """Upload files of 30 MB until the disk is full."""
    data = b"\0" * (30 * 2**20)
    await again(page, 4, lambda: page.post("/gradio_api/upload", files={"files": ("a", data)}))


KINDS = (
    *(large_pictures, large_queries, zips, long_lists, large_json, idle_sockets),
    *(many_queries, many_events, many_uploads),
)


async def visits(url: str, count: int, seconds: float) -> tuple[list[float], list[str]]:
    """Return the latencies of ordinary visitors' requests in ms, and their errors."""
    times: list[float] = []
    errors: list[str] = []
    asked = iter(queries(5_000))
    until = time.perf_counter() + seconds

    async def get(client: httpx.AsyncClient, address: str, **parts: object) -> httpx.Response:
        started = time.perf_counter()
        answer = await client.get(address, params=parts)
        times.append(1000 * (time.perf_counter() - started))
        if answer.status_code != 200:
            errors.append(f"{address}: {answer.status_code}")
        return answer

    async def one() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            await asyncio.sleep(random.uniform(0, READING[1]))
            while time.perf_counter() < until:
                try:
                    found = await get(client, "/search", text=next(asked), count=4)
                    for hit in found.json().get("pictures", [])[:2]:
                        if hit["id"] != "large.png":
                            await get(client, "/picture", id=hit["id"], small=1)
                except (httpx.HTTPError, ValueError) as error:
                    errors.append(repr(error))
                await asyncio.sleep(random.uniform(*READING))

    await asyncio.gather(*(one() for _ in range(count)))
    return times, errors


def p95(times: list[float]) -> float:
    return statistics.quantiles(times, n=20)[18]


def most_memory(process: int) -> float:
    """Return the peak memory of a process in MiB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the page has stopped")


async def in_turn(url: str, process: int, count: int, seconds: float, kinds: list[str]) -> dict:
    await visits(url, count, 3)
    rows: dict[str, dict[str, object]] = {}
    for kind in KINDS:
        if kinds and kind.__name__ not in kinds:
            continue
        quiet, wrong = await visits(url, count, seconds / 2)
        transport = httpx.AsyncHTTPTransport(local_address=ATTACKER)
        async with httpx.AsyncClient(base_url=url, timeout=60, transport=transport) as client:
            attack = asyncio.create_task(kind(client))
            await asyncio.sleep(0.5)
            times, errors = await visits(url, count, seconds)
            attack.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await attack
        rows[kind.__name__] = {
            "requests": len(times),
            "errors": len(errors) + len(wrong),
            "first_error": next(iter(errors + wrong), None),
            "quiet_p95_ms": round(p95(quiet), 1),
            "p95_ms": round(p95(times), 1),
            "ratio": round(p95(times) / p95(quiet), 2),
            "mebibytes_at_most": round(most_memory(process), 1),
        }
        print(kind.__name__, rows[kind.__name__], flush=True)
        await asyncio.sleep(5)
    return rows


def make_gallery(folder: Path) -> Path:
    pictures = folder / "pictures"
    pictures.mkdir()
    noise = np.random.default_rng(0)
    for number in range(PICTURES):
        pixels = noise.integers(0, 256, (300, 400, 3), np.uint8)
        Image.fromarray(pixels).save(pictures / f"{number}.jpg")
    (pictures / "large.png").write_bytes(png(9_433, 9_433, alpha=True))
    command = [*CMR, "index", pictures, "--out", folder / "gallery"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / "gallery"


def attacked(count: int = 20, seconds: float = 10, *kinds: str) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        gallery, port = make_gallery(Path(folder)), free_port()
        command = [*CMR, "demo", "--gallery", gallery]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": folder}
        with subprocess.Popen([*command, "--port", str(port)], env=environment) as page:
            try:
                url = f"http://127.0.0.1:{port}"
                for _ in range(300):
                    with contextlib.suppress(httpx.HTTPError):
                        httpx.get(url).raise_for_status()
                        break
                    time.sleep(0.2)
                load = os.getloadavg()[0]
                rows = asyncio.run(in_turn(url, page.pid, count, seconds, [*kinds]))
            finally:
                page.terminate()
    found = {
        "visitors": count,
        "kinds": rows,
        "worst_ratio": max(row["ratio"] for row in rows.values()),
        "errors": sum(row["errors"] for row in rows.values()),
        "mebibytes_at_most": max(row["mebibytes_at_most"] for row in rows.values()),
        "load_before": round(load, 2),
        "processors": os.cpu_count(),
    }
    print(json.dumps(found, indent=2))
    return found


if __name__ == "__main__":
    arguments = sys.argv[1:]
    attacked(*(int(argument) for argument in arguments[:2]), *arguments[2:])
