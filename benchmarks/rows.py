"""Time rivals in alternating turns and store the results as a row.

A turn is the median of several rounds in which all rivals alternate, as many as fit into four
seconds, up to nine. A row is published if the machine was quiet: less than .3 of a core was busy
with other work before the start, and the five turns of each rival are within 15 % of each other.
Otherwise it is stored under `busy`, and the last quiet row stays published. Only this module writes
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
"""Seconds for which the load of the machine is measured before and after a row."""

Row = dict[str, Any]


@dataclass
class Rival:
    """An implementation that performs the task of a row.

    Attributes:
        work: the timed function.
        settings: threads, precision, batch size and other settings.
        package: package whose version is recorded.
        against: the implementation of ours that it is compared with; None if it is ours itself.
        prepare: function that is called before each turn and not timed, such as filling caches.
        tried: figures of all settings that were tried; `settings` is the best of them.
        facts: other measurements, such as the recall.
    """

    work: Callable[[], object]
    settings: str = ""
    package: str = ""
    against: str | None = "ours"
    prepare: Callable[[], object] = lambda: None
    tried: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


class Took(float):
    """Seconds that a function has measured itself."""


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    started = time.perf_counter()
    told = work()
    return told if isinstance(told, Took) else time.perf_counter() - started


def best(settings: Mapping[str, Callable[[], object]], per: int = 1) -> tuple[str, Row]:
    """Return the fastest setting, and the milliseconds of each (best of two after a warm-up)."""
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
    """Time all rivals in alternating turns, so that other load affects all equally.

    Args:
        task: description of the task, for the table.
        rivals: rivals by name, ours first.
        per: number of units of work per turn; seconds are reported per unit.
        turns: number of turns. Default: CMR_BENCH_TURNS, or five.
        warm: whether to run a warm-up round first; without it, a turn has one round.
        facts: other fields of the row.
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
    """Return the seconds of each rival in one round."""
    taken = {}
    for name, rival in rivals.items():
        rival.prepare()
        taken[name] = seconds(rival.work)
    return taken


def spread(turns: Sequence[float]) -> float:
    """Return the interquartile range of the turns, divided by their median."""
    if len(turns) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(turns, n=4, method="inclusive")
    return (high - low) / middle


def exponent(taken: Mapping[int, float]) -> float:
    """Return the exponent e of the curve size^e through the seconds of the largest three sizes."""
    sizes = sorted(taken)[-3:]
    logs = [math.log(taken[size]) for size in sizes]
    return statistics.linear_regression([math.log(size) for size in sizes], logs).slope


def rounded(value: float) -> float:
    """Round to four digits."""
    return float(f"{value:.4g}")


def load() -> float:
    """Return the current load of each core."""
    return rounded(psutil.cpu_percent(LOOK) / 100)


def machine() -> Row:
    """Return a description of the machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
    return {
        "processor": model or platform.processor(),
        "cores": os.cpu_count(),
        "threads": int(os.environ.get("OMP_NUM_THREADS", "0")) or os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
    }


def used(*, all_of_it: bool = False) -> list[str]:
    """Return the files of the package that this process has imported, or all of them."""
    if all_of_it:
        paths = {str(path) for path in (HOME / "cmr_hub").rglob("*.py")}
    else:
        modules = [
            module for name, module in sys.modules.items() if name.partition(".")[0] == "cmr_hub"
        ]
        paths = {path for module in modules if (path := module.__file__)}
    return sorted(os.path.relpath(path, HOME) for path in paths)


def code(files: Iterable[str]) -> str:
    """Return a hash of the code in these files, ignoring comments, docstrings and layout."""
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
    """Return all rows."""
    found: dict[str, Row] = json.loads(path.read_text(encoding="utf-8"))
    return found


def quiet(row: Row) -> bool:
    """Return whether a row may be published."""
    wide = any(own["spread"] > WIDE for own in row.get("rivals", {}).values())
    return row["load_before"] <= BUSY and not wide


def fresh(row: Row | None) -> bool:
    """Return whether a row was measured with the current code and versions."""
    measured = None if row is None else row.get("code")
    if row is None or not isinstance(measured, dict):  # older rows have only a hash
        return False
    is_same: bool = measured["hash"] == code(measured["files"].split())
    return is_same and row["versions"] == versions()


def keep(name: str, row: Row, path: Path = RESULTS) -> bool:
    """Store a row, under `busy` if the machine was not quiet. Print which."""
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
