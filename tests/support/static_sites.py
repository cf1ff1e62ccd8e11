"""Serve static sites with a plain file server."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MARKUP = "<img src=x onerror=alert(1)> ${alert(2)} {{value}} `tick`"


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder with Python's file server and yield its address."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        found = re.search(r"port (\d+)", process.stdout.readline())
        yield f"http://127.0.0.1:{found[1]}/"
    finally:
        process.terminate()
        process.wait()
