"""Latency of the dashboard with 5,000 runs, in Chromium: first page, metric and filter.

Runs are sampled from those in `results/`, with different settings and seeds. The server is started
for each run, so that the first visit includes reading and importing.
`python -m benchmarks dashboard`
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

RUNS, VISITS = 5_000, 5

STOPWATCH = """() => {
    const words = () => document.querySelector(".js-plotly-plot")?.textContent;
    const before = words();
    window.drawnAfter = 0;
    document.addEventListener("click", () => {
        const start = performance.now();
        const look = () => {
            if (!words() || words() === before) requestAnimationFrame(look);
            else window.drawnAfter = performance.now() - start;
        };
        look();
    }, {capture: true, once: true});
}"""
"""Milliseconds in the browser from the next click until a new figure is drawn."""


def many_runs(source: Path, target: Path) -> None:
    """Store this number of runs next to the plans, curves and embeddings of the source."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    records = [json.loads(line) for line in (source / "runs.jsonl").read_text().splitlines()]
    records = [record for record in records if record.get("map_avg") is not None]
    generator = np.random.default_rng(0)
    lines = [json.dumps(record) for record in records]
    while len(lines) < RUNS:
        number = len(lines)
        record = json.loads(json.dumps(records[number % len(records)]))
        record["settings"] = {**record["settings"], "variant": number // len(records)}
        record["cell"] = f"{number:064x}"
        for figure in ("map_i2t", "map_t2i", "map_avg"):
            record[figure] = float(np.clip(record[figure] + 0.01 * generator.normal(), 0, 1))
        lines.append(json.dumps(record))
    (target / "runs.jsonl").write_text("\n".join(lines) + "\n")


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str) -> None:
    """Wait until the server responds."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the dashboard did not start")


def first_page(page: Page, url: str) -> float:
    """Return the seconds until the overview is displayed with its last table."""
    start = time.perf_counter()
    page.goto(url)
    page.get_by_role("heading", name="New since the last report").wait_for(timeout=60_000)
    page.locator("table").last.wait_for()
    return time.perf_counter() - start


def filter_change(page: Page, name: str, value: str) -> float:
    """Return the seconds from choosing a value until its figure is drawn."""
    # Of a long list only a part is drawn: it is searched.
    page.get_by_role("combobox", name=name).fill(value)
    option = page.get_by_role("option", name=value, exact=True)
    option.wait_for()
    page.evaluate(STOPWATCH)
    option.click()
    page.wait_for_function("() => window.drawnAfter", polling=50)
    return float(page.evaluate("window.drawnAfter")) / 1000


def measure(results: Path) -> dict[str, object]:
    """Start the dashboard and visit it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(Path(sys.executable).with_name("cmr")), "dashboard", f"--results={results}"]
    server = subprocess.Popen([*command, f"--port={port}"], stdout=subprocess.DEVNULL)
    try:
        wait_for(url)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            cold = first_page(browser.new_page(), url)
            warm = [first_page(browser.new_page(), url) for _ in range(VISITS)]
            page = browser.new_page()
            page.goto(f"{url}/ablations")
            page.locator(".js-plotly-plot .xtitle").first.wait_for(timeout=60_000)
            metrics = [
                filter_change(page, "Metric", name) for name in ("R@1", "P@5", "MAP@50", "R@10")
            ]
            filters = [filter_change(page, "Method", name) for name in ("dscmr", "sdml")]
            browser.close()
    finally:
        server.terminate()
        server.wait()
    return {
        "runs": RUNS,
        "first_visit_of_server_seconds": round(cold, 2),
        "first_page_seconds": round(statistics.median(warm), 2),
        "metric_change_seconds": round(statistics.median(metrics), 3),
        "filter_change_seconds": round(statistics.median(filters), 3),
        "load": round(os.getloadavg()[0], 1),
    }


def dashboard() -> dict:
    """Print and store the times."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        many_runs(Path("results"), results)
        row = measure(results)
    for name, value in row.items():
        print(f"{name:<34}{value}")
    return row


if __name__ == "__main__":
    dashboard()
