from __future__ import annotations

import json
import math
import time

import numpy as np
import pytest
from run_records import run_record

from cmr_hub.errors import ModelFormatError
from cmr_hub.experiments.acmr_log import parse_acmr_log
from cmr_hub.experiments.artifacts import write_curve
from cmr_hub.experiments.curves import (
    checkpoints_of,
    history_curves,
    model_curves,
    running_curves,
    smoothed,
    stored_curves,
)
from cmr_hub.training.checkpoint import Progress, write_checkpoint

HISTORY = [
    {"phase": "select", "epoch": 1, "loss": 2.0, "validation_map": 0.1, "learning_rate": 0.5},
    {"phase": "select", "epoch": 2, "loss": math.nan, "validation_map": 0.2, "learning_rate": 0.5},
    {"phase": "final", "epoch": 1, "loss": 1.5, "learning_rate": 0.5},
]


def test_a_history_has_a_curve_for_each_phase() -> None:
    select, final = history_curves(HISTORY)
    assert (select.phase, select.epochs) == ("select", [1, 2])
    assert select.columns["loss"] == [2.0, None]
    assert select.columns["validation_map"] == [0.1, 0.2]
    assert final.columns == {"loss": [1.5], "learning_rate": [0.5]}
    assert history_curves([]) == []


def test_stored_curves_have_the_learning_rate_of_the_settings(tmp_path) -> None:
    record = run_record(cell="c" * 64, settings={"learning_rate": 0.25})
    write_curve(HISTORY, tmp_path, record.cell)
    select, final = stored_curves(tmp_path, record)
    assert select.columns["validation_map"] == [0.1, 0.2]
    assert select.columns["learning_rate"] == [0.25, 0.25]
    assert final.epochs == [1]
    assert stored_curves(tmp_path, run_record(cell="d" * 64)) == []
    assert stored_curves(tmp_path, run_record()) == []


def test_a_model_directory(tmp_path) -> None:
    assert model_curves(tmp_path) == []
    (tmp_path / "history.json").write_text(json.dumps(HISTORY[:1]))
    assert model_curves(tmp_path)[0].columns["loss"] == [2.0]
    for damaged in ("{", "3", "[1]"):
        (tmp_path / "history.json").write_text(damaged)
        with pytest.raises(ModelFormatError):
            model_curves(tmp_path)


def test_a_training_that_goes_on(tmp_path) -> None:
    home = checkpoints_of(tmp_path / "pets")
    assert home == tmp_path / "pets.checkpoints"
    assert running_curves(home) == []
    home.mkdir()
    progress = Progress(epoch=1, history=HISTORY[:1])
    write_checkpoint(home / "select.safetensors", "key", progress, {})
    assert running_curves(home)[0].columns["loss"] == [2.0]
    (home / "final.safetensors").write_bytes(b"half a file")
    assert [curve.phase for curve in running_curves(home)] == ["select"]


def test_smoothing_is_the_plain_loop() -> None:
    values = np.random.default_rng(0).normal(size=20)
    expected, average = [], 0.0
    for t, value in enumerate(values, start=1):
        average = 0.8 * average + 0.2 * value
        expected.append(average / (1 - 0.8**t))
    assert smoothed(list(values), 0.8) == pytest.approx(expected)
    assert smoothed(list(values), 0) == pytest.approx(list(values))
    assert smoothed([1.0, None, 1.0], 0.9) == [pytest.approx(1.0), None, pytest.approx(1.0)]


LINE = (
    "Epoch: [ {0}][ {1}/33] time: 1.25, emb_loss: {2}, domain_loss: 1.84, Label_loss: 4.94, "
    "triplet_loss: 2573.6, 322.9, 323.0, 322.9, 332.75"
)


def test_the_log_of_2019() -> None:
    text = "\n".join(
        ["start", LINE.format(1, 0, 3067.69), LINE.format(1, 11, "nan"), LINE.format(2, 0, 3.0)]
    )
    curve, problems = parse_acmr_log(text)
    assert problems == []
    assert curve is not None
    assert curve.epochs == pytest.approx([1, 1 + 1 / 3, 2])
    assert curve.columns["emb_loss"] == [3067.69, None, 3.0]
    assert curve.columns["w_neg"] == [332.75] * 3
    assert curve.columns["label_loss"] == [4.94] * 3


def test_lines_of_our_own_code_and_bare_lines() -> None:
    from cmr_hub.losses.acmr_released import ACMRReleasedLoss

    names = ("emb_loss", "domain_loss", "label_loss", "triplet_loss")
    parts = dict.fromkeys((*names, "v_pos", "v_neg", "w_pos", "w_neg"), 0.5)
    places = [
        {"epoch": epoch, "step": step, "steps": 4} for epoch, step in ((1, 0), (1, 2), (2, 0))
    ]
    lines = [ACMRReleasedLoss.log_line.format(time=1.0, **place, **parts) for place in places]
    curve, problems = parse_acmr_log("\n".join(lines))
    assert problems == []
    assert curve is not None
    assert curve.epochs == [1, 1.5, 2]
    assert set(curve.columns) == {*parts, "time"}
    bare = "emb_loss: 3067.69, domain_loss: 1.84, Label_loss: 4.94, triplet_loss: 2573.6"
    curve, _ = parse_acmr_log(f"{bare}\n{bare}")
    assert curve is not None
    assert curve.epochs == [1, 2]
    assert "v_pos" not in curve.columns


def test_a_log_that_cannot_be_read() -> None:
    assert parse_acmr_log("nothing here") == (None, ["there is no line with emb_loss"])
    curve, problems = parse_acmr_log(LINE.format(1, 0, 1.0) + "\nEpoch: [2] emb_loss: 3, domain")
    assert curve is not None
    assert problems == ["line 2 is left out: no domain_loss, label_loss, triplet_loss"]
    _, many = parse_acmr_log("emb_loss\n" * 30)
    assert many[-1] == "and 20 more lines"


def test_a_key_that_is_a_path_is_not_followed(tmp_path) -> None:
    (tmp_path / "secret.json").write_text('{"select": {"loss": [1]}}')
    with pytest.raises(ModelFormatError, match="not the key of a run"):
        stored_curves(tmp_path / "results", run_record(cell="../../secret"))


def test_numbers_beyond_all_are_gaps(tmp_path) -> None:
    (tmp_path / "history.json").write_text('[{"epoch": 1, "loss": 1%s}]' % ("0" * 400))
    (curve,) = model_curves(tmp_path)
    assert curve.columns == {}
    write_curve(HISTORY, tmp_path, "c" * 64)
    assert len(stored_curves(tmp_path, run_record(cell="c" * 64))) == 2


def test_a_curve_nested_deep_is_an_error(tmp_path) -> None:
    path = tmp_path / "curves" / f"{'c' * 16}.json"
    path.parent.mkdir()
    path.write_text("[" * 100_000)
    with pytest.raises(ModelFormatError, match="is not a training curve"):
        stored_curves(tmp_path, run_record(cell="c" * 64))


LONG = 1_000_000


@pytest.mark.parametrize(
    "line",
    [
        "emb_loss: 1, domain_loss: 1, label_loss: 1, triplet_loss: " + "1" * LONG,
        "emb_loss epoch" + " " * LONG,
        "emb_loss: 1, domain_loss: 1, label_loss: 1, triplet_loss: 1, epoch [" + "1" * LONG,
        "emb_loss: 1, domain_loss: 1, label_loss: 1, triplet_loss: 1, epoch [1] [1/" + "9" * 5000,
    ],
    ids=["figure", "spaces", "epoch", "step"],
)
def test_a_long_line_of_a_log_takes_no_longer_than_its_length(line: str) -> None:
    started = time.perf_counter()
    curve, problems = parse_acmr_log(line)
    assert curve is not None or problems
    assert time.perf_counter() - started < 10
