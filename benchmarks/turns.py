"""Times rivals turn by turn, so that a busy machine slows all alike."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping

from cmr_hub.experiments.benchmarks import record_benchmark


def seconds(work: Callable[[], object]) -> float:
    """How long it takes once."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def turns(rivals: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each rival in each round, after one round that warms up."""
    rounds_of_all = [[seconds(work) for work in rivals.values()] for _ in range(rounds + 1)]
    return dict(zip(rivals, zip(*rounds_of_all[1:], strict=True), strict=True))


def beside(ours: list[float], peer: list[float], peer_name: str, per: int = 1) -> dict[str, object]:
    """A row of the table: our seconds, the peer's, and the median of the rounds' ratios.

    Args:
        ours, peer: seconds of each round.
        peer_name: who that is.
        per: things done in a round; seconds are those of one.
    """
    ratios = [theirs / own for own, theirs in zip(ours, peer, strict=True)]
    return {
        "peer": peer_name,
        "seconds": rounded(statistics.median(ours) / per),
        "peer_seconds": rounded(statistics.median(peer) / per),
        "peer_over_ours": rounded(statistics.median(ratios)),
    }


def record(name: str, row: dict[str, object]) -> None:
    """Writes a row, with the load that the machine had."""
    record_benchmark(name, {**row, "load": rounded(os.getloadavg()[0])})


def rounded(value: float) -> float:
    """Four digits."""
    return float(f"{value:.4g}")
