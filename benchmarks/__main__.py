"""`make bench`: every benchmark, one after the other, and the table of what they found.

    python benchmarks         # half an hour on two free cores
    python benchmarks --full  # also a million vectors and 250 kills: an hour more, at first two

A script that fails ends it with its status. A goal that is missed does not: it is printed and
stands in the table, because on a busy machine any can be.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).parent
QUICK = (
    "importing.py",
    "loading.py",
    "images.py",
    "texts.py",
    "photos.py",
    "training.py",
    "mean_average_precision.py",
    "search.py",
    "memory.py",
    "indexing.py throughput",
    "runtimes.py",
    "tsne.py",
    "page.py",
    "attacked.py",
    "dashboard.py",
)
FULL = ("gallery.py", "search.py 1000000", "indexing.py again faults writing", "kills.py")


def main() -> None:
    os.chdir(FOLDER.parent)  # results/ is there
    began = time.monotonic()
    for script in QUICK + (FULL if sys.argv[1:] == ["--full"] else ()):
        name, *arguments = script.split()
        if name == "dashboard.py" and shutil.which("chromium") is None:
            print("== dashboard.py is left out: it needs Chromium", flush=True)
            continue
        print(f"== {script}", flush=True)
        started = time.monotonic()
        done = subprocess.run([sys.executable, FOLDER / name, *arguments], check=False)
        if done.returncode:
            sys.exit(done.returncode)
        print(f"== {script}: {time.monotonic() - started:.0f} s", flush=True)
    subprocess.run([sys.executable, FOLDER / "table.py"], check=True)
    print(f"{(time.monotonic() - began) / 60:.0f} minutes")


if __name__ == "__main__":
    main()
