"""Run benchmarks and write the tables of results.

    python -m benchmarks             # rows that are not measured yet; --fresh measures all again
    python -m benchmarks ROW ...     # some rows; `--list` names them
    python -m benchmarks --full      # also a million vectors and 50 kills
    python -m benchmarks quick       # three minutes; reports what is 25 % worse than published
    python -m benchmarks growth      # cost against size, to results/growth.json

Each row is measured in a separate process and stored at once, so that an interrupted run loses
nothing. Rows that were measured with the same code and versions on a quiet machine are skipped.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import rows
from plans import PLANS
from table import ratios, write

WORSE = 1.25


def measure(name: str) -> rows.Row:
    """Add the properties and the load of the machine to a row."""
    plan, before, started = PLANS[name], rows.load(), time.monotonic()
    figures = getattr(importlib.import_module(plan.module), plan.function)(*plan.arguments)
    took = round(time.monotonic() - started)
    files = [f"benchmarks/{plan.module}.py", *rows.used(all_of_it=plan.in_processes)]
    return {
        **figures,
        "load_before": before,
        "load_after": rows.load(),
        "machine": rows.machine(),
        "versions": rows.versions(),
        "code": {"files": " ".join(files), "hash": rows.code(files)},
        "seconds_to_measure": took,
    }


def alone(name: str) -> None:
    """Measure one row in this process and store it."""
    row = measure(name)
    published = rows.keep(name, row)
    if not published:
        print(f"{name} is not published: the machine was busy, or its turns differ by over 15 %")


def all_of(names: list[str], *, fresh: bool) -> None:
    """Measure each row in a separate process, skipping existing rows."""
    there = {} if fresh else rows.read()
    asked = [name for name in names if not rows.fresh(there.get(name))]
    print(f"{len(asked)} rows, about {sum(PLANS[name].minutes for name in asked):.0f} minutes")
    failed = []
    for name in asked:
        print(f"== {name}, about {PLANS[name].minutes} minutes", flush=True)
        done = subprocess.run([sys.executable, "-m", "benchmarks", name], check=False)
        if done.returncode:
            failed.append(name)
    write(rows.read())
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def quick() -> None:
    """Measure a few rows with three turns and compare their ratios with the published ones."""
    os.environ["CMR_BENCH_TURNS"] = "3"
    published, worse = rows.read(), []
    for name in (name for name, plan in PLANS.items() if plan.is_quick):
        if name not in published:
            print(f"{name}: nothing is published to compare with")
            continue
        was, now = ratios(published[name]), ratios(measure(name))
        for peer in was.keys() & now.keys():
            print(f"{name}, {peer} ÷ ours: {was[peer]:.2f} published, {now[peer]:.2f} now")
            if now[peer] * WORSE < was[peer]:
                worse.append(f"{name}, {peer}")
    if worse:
        sys.exit(f"worse by over 25 %: {'; '.join(worse)}")
    print("nothing is worse by over 25 %")


def main() -> None:
    os.chdir(rows.HOME)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split("\n")[0]
    )
    parser.add_argument("rows", nargs="*", choices=[[], *PLANS, "quick", "growth", "table"])
    parser.add_argument("--full", action="store_true", help="also what takes an hour")
    parser.add_argument("--fresh", action="store_true", help="also what is measured already")
    parser.add_argument("--list", action="store_true", help="name the rows and their minutes")
    asked = parser.parse_args()
    if asked.list:
        for name, plan in PLANS.items():
            print(f"{name:<30}{plan.minutes:>5} minutes{'  --full' if plan.is_full else ''}")
    elif not asked.rows:
        names = [name for name, plan in PLANS.items() if asked.full or not plan.is_full]
        all_of(names, fresh=asked.fresh)
    elif asked.rows == ["quick"]:
        quick()
    elif asked.rows == ["growth"]:
        importlib.import_module("growth").growth(full=asked.full)
        write(rows.read())
    else:
        for name in asked.rows:
            if name != "table":
                alone(name)
        write(rows.read())


if __name__ == "__main__":
    main()
