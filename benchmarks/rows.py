"""Times rivals in alternating turns and stores the results as a row.

A turn is the median of several rounds in which all rivals alternate, as many as fit into four
seconds, up to nine. A row is published if the machine was quiet: less than .3 of a core busy with
other work before it began, and each rival's five turns within 15 % of each other. Otherwise it is
kept under `busy` and the last quiet row stays. This is the only place that writes
`results/benchmarks.json`.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from cmr_hub.atomic import atomic_file
from cmr_hub.experiments.results import versions

HOME = Path(__file__).parents[1]
RESULTS = HOME / "results" / "benchmarks.json"
TURNS, ROUNDS, TURN_SECONDS = 5, 9, 4.0
BUSY, WIDE = 0.3, 0.15
LOOK = 3.0
"""Seconds for which the machine is watched before and after a row."""

Row = dict[str, Any]


@dataclass
class Rival:
    """Somebody who does the work of a row.

    Attributes:
        work: what is timed.
        settings: threads, precision, batch: all that a reader would want to change.
        package: whose version is noted.
        against: which of ours it is compared with; None if it is ours itself.
        prepare: done before each turn, such as filling the caches; not timed.
        tried: figures of all settings that were tried; the best of them is `settings`.
        facts: other measurements of it, such as its recall.
    """

    work: Callable[[], object]
    settings: str = ""
    package: str = ""
    against: str | None = "ours"
    prepare: Callable[[], object] = lambda: None
    tried: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


class Took(float):
    """Seconds that a work has measured itself."""


def seconds(work: Callable[[], object]) -> float:
    """How long it takes once."""
    started = time.perf_counter()
    told = work()
    return told if isinstance(told, Took) else time.perf_counter() - started


def best(settings: Mapping[str, Callable[[], object]], per: int = 1) -> tuple[str, Row]:
    """The fastest of some settings, and milliseconds of each: the best of two, one before."""
    tried = {}
    for name, work in settings.items():
        work()
        tried[name] = rounded(1000 * min(seconds(work) for _ in range(2)) / per)
    return min(tried, key=tried.__getitem__), tried


def measure(
    task: str,
    rivals: Mapping[str, Rival],
    per: int = 1,
    *,
    turns: int | None = None,
    warm: bool = True,
    **facts: object,
) -> Row:
    """Time all rivals in alternating turns, so that other load affects all alike.

    Args:
        task: what is done, for the table.
        rivals: by name; ours first.
        per: things done in a turn; seconds are those of one.
        turns: how many turns; by default five, or as many as CMR_BENCH_TURNS says.
        warm: whether a round that does not count comes first; without it a turn has one round.
        facts: what else belongs into the row.
    """
    count = turns or int(os.environ.get("CMR_BENCH_TURNS", TURNS))
    taken: dict[str, list[float]] = {name: [] for name in rivals}
    started = time.perf_counter()
    if warm:
        one_round(rivals)
    rounds = min(ROUNDS, max(1, int(TURN_SECONDS / (time.perf_counter() - started)))) if warm else 1
    for _ in range(count):
        turn = [one_round(rivals) for _ in range(rounds)]
        for name, own in taken.items():
            own.append(statistics.median(took[name] for took in turn) / per)
    row: Row = {"task": task, **facts, "rounds": rounds, "rivals": {}}
    for name, rival in rivals.items():
        own = {
            "seconds": rounded(statistics.median(taken[name])),
            "spread": rounded(spread(taken[name])),
            "turns": [rounded(took) for took in taken[name]],
            "settings": rival.settings,
            **rival.facts,
        }
        if rival.package:
            own["version"] = importlib.metadata.version(rival.package)
        if rival.tried:
            own["tried"] = dict(rival.tried)
        if rival.against is not None:
            own["against"] = rival.against
            ratios = [
                theirs / ours
                for theirs, ours in zip(taken[name], taken[rival.against], strict=True)
            ]
            own["peer_over_ours"] = rounded(statistics.median(ratios))
        row["rivals"][name] = own
        print(f"  {name}: {own}", flush=True)
    return row


def one_round(rivals: Mapping[str, Rival]) -> dict[str, float]:
    """Seconds of each, once."""
    taken = {}
    for name, rival in rivals.items():
        rival.prepare()
        taken[name] = seconds(rival.work)
    return taken


def spread(turns: Sequence[float]) -> float:
    """How far apart the middle half of the turns is, over their median."""
    if len(turns) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(turns, n=4, method="inclusive")
    return (high - low) / middle


def exponent(taken: Mapping[int, float]) -> float:
    """Of the curve size^e through the seconds of the largest three sizes."""
    sizes = sorted(taken)[-3:]
    logs = [math.log(taken[size]) for size in sizes]
    return statistics.linear_regression([math.log(size) for size in sizes], logs).slope


def rounded(value: float) -> float:
    """Four digits."""
    return float(f"{value:.4g}")


def load() -> float:
    """The share of each core that works, now."""
    return rounded(psutil.cpu_percent(LOOK) / 100)


def machine() -> Row:
    """What it is measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
    return {
        "processor": model or platform.processor(),
        "cores": os.cpu_count(),
        "threads": int(os.environ.get("OMP_NUM_THREADS", "0")) or os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
    }


def used(*, all_of_it: bool = False) -> list[str]:
    """The files of the package that this process has imported, or all of them."""
    if all_of_it:
        paths = {str(path) for path in (HOME / "cmr_hub").rglob("*.py")}
    else:
        modules = [module for name, module in sys.modules.items() if name.startswith("cmr_hub")]
        paths = {path for module in modules if (path := module.__file__)}
    return sorted(os.path.relpath(path, HOME) for path in paths)


def code(files: Iterable[str]) -> str:
    """A hash of what these files do: without comments, docstrings and layout."""
    digest = hashlib.sha256()
    for file in sorted(files):
        path = HOME / file
        digest.update(_without_words(path.read_text(encoding="utf-8")) if path.exists() else b"")
    return digest.hexdigest()[:16]


def _without_words(source: str) -> bytes:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            if isinstance(body, list):
                setattr(node, name, [part for part in body if not _is_text(part)])
    return ast.dump(tree).encode()


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def read(path: Path = RESULTS) -> dict[str, Row]:
    """All rows."""
    found: dict[str, Row] = json.loads(path.read_text(encoding="utf-8"))
    return found


def quiet(row: Row) -> bool:
    """Whether it may be published."""
    wide = any(own["spread"] > WIDE for own in row.get("rivals", {}).values())
    return row["load_before"] <= BUSY and not wide


def fresh(row: Row | None) -> bool:
    """Whether the row was measured by the code and the versions that are here."""
    if row is None or "code" not in row or row["versions"] != versions():
        return False
    return row["code"] == {
        "files": row["code"]["files"],
        "hash": code(row["code"]["files"].split()),
    }


def keep(name: str, row: Row, path: Path = RESULTS) -> bool:
    """Store a row: in its place if the machine was quiet, else under `busy`. Says which."""
    rows = read(path) if path.exists() else {}
    busy = rows.pop("busy", {})
    published = quiet(row)
    busy.pop(name, None)
    (rows if published else busy)[name] = row
    if busy:
        rows["busy"] = busy
    with atomic_file(path) as file:
        file.write_text(json.dumps(rows, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return published
