"""Robustness against kills: hundreds of kills at random moments.

    python benchmarks/kills.py           # 200 kills
    python benchmarks/kills.py 30 7      # 30 kills with seed 7

Indexing, changes of a gallery, training, a study, publishing (to a test Hub) and training that
fills the feature cache are each killed several times before they end. After each kill, the existing
files must be complete; at the end, the result must equal that of an uninterrupted run.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))
os.environ["HF_HUB_OFFLINE"] = "1"
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

from cmr_process import Cmr  # noqa: E402 - found only now
from kills import KINDS, run  # noqa: E402

TOGETHER = 5
"""Number of kills before the work may finish."""


def main(kills: int, seed: int) -> None:
    started = time.perf_counter()
    rows: dict[str, dict[str, int]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        tqdm(total=kills, unit="kill", disable=None) as bar,
    ):
        home = Path(folder)
        (home / "printed").mkdir()
        cmr = Cmr.begin(home / "printed")
        for number, (kind, work) in enumerate(KINDS.items()):
            # Equal shares; the first ones get the remainder.
            wanted = kills // len(KINDS) + (number < kills % len(KINDS))
            common = home / f"common{number}"
            work.prepare(common, cmr)
            expected = work(home / f"{number}", common)
            run(expected, cmr, 0, random.Random(0))
            done = times = damaged = left = 0
            while done < wanted:
                times += 1
                chance = random.Random(1000 * seed + times)
                own = work(home / f"{number}-{times}", common)
                killed = run(own, cmr, min(TOGETHER, wanted - done), chance)
                done += killed
                bar.update(killed)
                damaged += own.result() != expected.result()
                left += len(own.left())
            rows[kind] = {"kills": done, "times": times, "damaged": damaged, "left_behind": left}
            print(kind, rows[kind], flush=True)
            write(rows, seed, time.perf_counter() - started)
        cmr.end()


def write(rows: dict[str, dict[str, int]], seed: int, seconds: float) -> None:
    """Store the results so far, so that an interrupted run is not lost."""
    found = {
        "kills": sum(row["kills"] for row in rows.values()),
        "seed": seed,
        "kinds": rows,
        "seconds": round(seconds),
    }
    (ROOT / "results" / "kills.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(*(int(value) for value in (*sys.argv[1:], *("200", "0")[len(sys.argv) - 1 :])))
