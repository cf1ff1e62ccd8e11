"""Import the modules of `benchmarks/`, which import each other by their short names."""

import importlib
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
NAMES = ("rows", "plans", "table")


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """Return a function that imports a module by name; its results are in a temporary folder."""
    monkeypatch.syspath_prepend(str(HOME / "benchmarks"))
    for name in NAMES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module
    for name in NAMES:
        sys.modules.pop(name, None)


@pytest.fixture
def row():
    """Return a function that creates a result row with our figures and those of one peer."""

    def make(spread=0.01, load=0.1, ratio=2.0, **more):
        ours = {"seconds": 0.002, "spread": 0.01, "settings": "as it comes"}
        peer = {
            "seconds": 0.002 * ratio,
            "spread": spread,
            "settings": "batch 8",
            "version": "1.2",
            "tried": {"batch 1": 9.0, "batch 8": 2.0 * ratio},
            "against": "ours",
            "peer_over_ours": ratio,
        }
        machine = {"processor": "a chip", "cores": 2, "threads": 2, "memory_gib": 8}
        row = {"task": "a step", "rivals": {"ours": ours, "peer": peer}, "machine": machine}
        return {**row, "load_before": load, **more}

    return make
