"""A bar in a terminal, lines elsewhere, nothing where nothing is asked for."""

from __future__ import annotations

import sys

import pytest

from cmr_hub import progress
from cmr_hub.progress import Meter


def test_a_line_now_and_then(capsys):
    with Meter(10, "training", "epoch") as meter:
        for number in range(10):
            meter.update(loss=1 / (1 + number))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "training: epoch 2 of 10; loss 0.500"
    assert lines[-1] == "training: epoch 10 of 10; loss 0.100"
    assert len(lines) == 5


def test_a_line_when_nothing_was_said_for_long(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS", -1.0)
    with Meter(100, "features", "row") as meter:
        meter.update(1)
    assert capsys.readouterr().err == "features: row 1 of 100\n"


def test_what_was_done_before_counts(capsys):
    with Meter(10, "training", "epoch", done=9) as meter:
        meter.update()
    assert capsys.readouterr().err == "training: epoch 10 of 10\n"


def test_nothing(capsys):
    with Meter(2, "training", "epoch", show=False) as meter:
        meter.update(2)
        meter.write("a line")
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_lines_of_the_work_itself(capsys, monkeypatch, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with Meter(2, "training", "epoch") as meter:
        meter.write("Epoch: [ 1]")
        meter.update(2, loss=0.25)
    captured = capsys.readouterr()
    assert captured.out == "Epoch: [ 1]\n"
    assert "loss 0.250" in captured.err
    assert ("%" in captured.err) is terminal
