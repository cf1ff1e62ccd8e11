"""Run servers in separate processes on free ports."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served(
    command: Sequence[str | Path], port: int, *, path: str = "", seconds: float = 120, **options
) -> Iterator[str]:
    """Run a server until the end of the block; yield its address once it responds at `path`."""
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, **options) as process:
        try:
            until = time.monotonic() + seconds
            while True:
                try:
                    httpx.get(f"{url}{path}").raise_for_status()
                    break
                except httpx.HTTPError:
                    assert process.poll() is None, "it has ended"
                    assert time.monotonic() < until, "it does not answer"
                    time.sleep(0.1)
            yield url
        finally:
            process.terminate()
