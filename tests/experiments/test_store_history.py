"""The study's store has every line that it ever had; a line may only be flagged as superseded."""

from __future__ import annotations

import inspect
import json
import subprocess
from pathlib import Path

import pytest

from cmr_hub.cli.train import train

HOME = Path(__file__).parents[2]
STORE = "results/runs.jsonl"


def git(*arguments: str) -> str:
    command = ["git", "-C", str(HOME), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def runs(text: str) -> set[str]:
    """Return the lines without their flags."""
    found = [json.loads(line) for line in text.splitlines()]
    return {json.dumps(run | {"superseded": None}, sort_keys=True) for run in found}


@pytest.mark.skipif(not (HOME / ".git").exists(), reason="no history here")
def test_no_line_of_the_store_was_ever_lost() -> None:
    now = runs((HOME / STORE).read_text(encoding="utf-8"))
    for commit in git("log", "--format=%H", "--", STORE).split():
        lost = runs(git("show", f"{commit}:{STORE}")) - now
        assert not lost, f"{len(lost)} runs of {commit[:8]} are no longer in {STORE}"


def test_a_persons_own_runs_are_not_added_to_the_study() -> None:
    default = inspect.signature(train).parameters["results"].default
    assert default == Path("runs/runs.jsonl")
    assert {"/runs/", "/gallery/"} <= set((HOME / ".gitignore").read_text().split())
