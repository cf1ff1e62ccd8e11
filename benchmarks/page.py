"""Latency and memory of the search page with many concurrent visitors.

    python -m benchmarks page                # 50 clients, 5,000 text queries: both ways
    python benchmarks/page.py 50 5000 http   # plain HTTP; `gradio` is Gradio's queue

The page of the bundled model is started in a separate process, on the same CPUs as the clients. All
queries are different, so that caches do not help. Memory is that of the page's process. The load of
the machine before the run is recorded with the figures.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import httpx

from cmr_hub.apps.search_page.query_options import QueryOptions

ROOT = Path(__file__).parents[1]
WARM_UP = 1_000
COUNTS = ("a", "two", "three", "four")
COLOURS = ("red", "green", "blue", "white", "black", "orange", "yellow", "brown", "grey", "pink")
THINGS = ("bus", "car", "dog", "cat", "boat", "plane", "bicycle", "horse", "sheep", "cow", "train")
PLACES = ("on a street", "in a field", "on the sea", "in a kitchen", "in the snow", "at a station")
TIMES = ("", "at night", "at sunset", "in the rain", "in daylight", "under a cloudy sky")


def queries(count: int) -> list[str]:
    """Return different sentences in random order."""
    every = [
        " ".join(words).strip()
        for words in itertools.product(COUNTS, COLOURS, THINGS, PLACES, TIMES)
    ]
    return random.Random(0).sample(every, count)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def resident(process: int) -> float:
    """Return the memory of a process in MiB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the page has stopped")


async def ask_queued(client: httpx.AsyncClient, session: str, query: str) -> bool:
    """Query like Gradio's clients: send a request, then read the response."""
    data = [*QueryOptions(text=query).model_dump().values()]
    body = {"data": data, "session_hash": session}
    asked = await client.post("/gradio_api/call/search", json=body)
    if asked.status_code != 200:
        return False
    event = asked.json()["event_id"]
    told = (await client.get(f"/gradio_api/call/search/{event}")).text
    last = told.strip().split("\n\n")[-1]
    head, data = last.split("\n", 1)
    return head == "event: complete" and answered(json.loads(data.removeprefix("data: ")))


async def ask_directly(client: httpx.AsyncClient, session: str, query: str) -> bool:
    """Query in a single request."""
    told = await client.get("/search", params={"text": query})
    return told.status_code == 200 and answered([told.json()])


def answered(data: list[dict[str, list[object]]]) -> bool:
    return len(data[0]["pictures"]) == 10


async def visit(url: str, clients: int, asked: list[str], process: int, way: str) -> dict:
    """Run all queries, `clients` at a time."""
    ask = ask_queued if way == "gradio" else ask_directly
    waiting = iter(asked)
    times: list[float] = []
    errors: list[str] = []
    memory: list[float] = []

    async def one(session: str) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            for query in waiting:
                started = time.perf_counter()
                try:
                    if not await ask(client, session, query):
                        errors.append(query)
                except (httpx.HTTPError, ValueError) as error:
                    errors.append(f"{query}: {error!r}")
                times.append(1000 * (time.perf_counter() - started))
                if len(times) == WARM_UP:
                    memory.append(resident(process))

    started = time.perf_counter()
    await asyncio.gather(*(one(f"client{number}") for number in range(clients)))
    seconds = time.perf_counter() - started
    memory.append(resident(process))
    cuts = statistics.quantiles(times, n=100)
    if errors:
        print("first error:", errors[0])
    return {
        "clients": clients,
        "requests": len(times),
        "errors": len(errors),
        "p50_ms": round(cuts[49], 1),
        "p95_ms": round(cuts[94], 1),
        "p99_ms": round(cuts[98], 1),
        "per_second": round(len(times) / seconds, 1),
        "mebibytes_after_1000": round(memory[0], 1),
        "mebibytes_at_end": round(memory[-1], 1),
        "memory_ratio": round(memory[-1] / memory[0], 4),
    }


def measure(clients: int, requests: int, way: str) -> dict:
    """Start a page, query it, and stop it."""
    port = free_port()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, ROOT / "demo_gradio.py", "--port", str(port)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
    ) as page:
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(300):
                try:
                    httpx.get(url).raise_for_status()
                    break
                except httpx.HTTPError:
                    time.sleep(0.2)
            load = os.getloadavg()[0]
            row = asyncio.run(visit(url, clients, queries(requests), page.pid, way))
        finally:
            page.terminate()
    return {**row, "load_before": round(load, 2), "processors": os.cpu_count()}


def page(clients: int = 50, requests: int = 5_000, *ways: str) -> dict:
    found = {way: measure(clients, requests, way) for way in ways or ("http", "gradio")}
    print(json.dumps(found, indent=2))
    return found


if __name__ == "__main__":
    arguments = sys.argv[1:]
    page(*(int(argument) for argument in arguments[:2]), *arguments[2:])
