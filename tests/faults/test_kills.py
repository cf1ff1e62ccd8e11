"""A few kills of each kind at random moments; `benchmarks/kills.py` runs hundreds."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from cmr_process import Cmr
from kills import KINDS, run

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_doubled_or_left_behind(cmr: Cmr, tmp_path: Path, kind: str) -> None:
    work = KINDS[kind]
    work.prepare(tmp_path / "common", cmr)
    undisturbed = work(tmp_path / "undisturbed", tmp_path / "common")
    assert run(undisturbed, cmr, 0, random.Random(0)) == 0
    kills = 0
    for seed in range(20):
        killed = work(tmp_path / f"{seed}", tmp_path / "common")
        kills += run(killed, cmr, 3, random.Random(seed))
        assert killed.result() == undisturbed.result()
        assert killed.left() == []
        if kills >= 1:
            break
    assert kills >= 1
