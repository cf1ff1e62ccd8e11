from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from cmr_hub.errors import ModelFormatError
from cmr_hub.metrics.validation import validation_map
from cmr_hub.training.snapshots import Snapshots, read_snapshots, write_snapshots
from cmr_hub.training.trainer import train_projectors


def test_epochs_are_kept_and_change_nothing(splits, preset, pairs) -> None:
    test = pairs(12, seed=3)
    ids = [f"pair {n}" for n in range(12)]
    preset = replace(preset, epochs=6, early_stopping=False)
    watch = Snapshots(test, ids)
    trained = train_projectors(splits, preset, 0, validation_map, snapshots=watch)
    plain = train_projectors(splits, preset, 0, validation_map)
    for name, value in plain.image_projector.state_dict().items():
        assert torch.equal(value, trained.image_projector.state_dict()[name])
    assert list(watch.stages) == [0, 1, 2, 4]
    for images, texts in watch.stages.values():
        assert images.shape == texts.shape == (12, 8)
    scores = [validation_map(*watch.stages[epoch], test.labels) for epoch in (0, 4)]
    assert scores[1] > scores[0]


def test_the_phase_that_the_projectors_come_from_is_watched(splits, preset, pairs) -> None:
    watch = Snapshots(pairs(12, seed=3), [str(n) for n in range(12)])
    trained = train_projectors(splits, preset, 0, validation_map, snapshots=watch)
    assert max(watch.stages) <= trained.epochs
    own = replace(splits, refit=None)
    watch = Snapshots(pairs(12, seed=3), [str(n) for n in range(12)])
    trained = train_projectors(own, preset, 0, validation_map, snapshots=watch)
    done = (np.ones((12, 8), np.float32),) * 2
    until = watch.until(trained.epochs, done)
    assert max(until) == trained.epochs
    assert until[trained.epochs] is done


def test_a_resumed_run_has_the_epochs_before(splits, preset, pairs, tmp_path) -> None:
    ids = [str(n) for n in range(12)]
    first = Snapshots(pairs(12, seed=3), ids, tmp_path)
    first(0, lambda test: (test.images[:, :4], test.texts[:, :4]))
    first(3, lambda test: pytest.fail("3 is no power of two"))
    second = Snapshots(pairs(12, seed=3), ids, tmp_path)
    assert list(second.stages) == [0]
    assert Snapshots(pairs(12, seed=3), ["other"] * 12, tmp_path).stages == {}


def test_files_are_read_back_and_damaged_ones_refused(tmp_path) -> None:
    rows = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    path = tmp_path / "snapshots.safetensors"
    write_snapshots(path, ["a", "b\u00e9", "c"], {4: (rows, rows), 0: (rows, -rows)})
    ids, stages = read_snapshots(path)
    assert ids == ("a", "b\u00e9", "c")
    assert list(stages) == [0, 4]
    assert stages[0][1] == pytest.approx(-rows, abs=5e-3)
    write_snapshots(path, ["a", "b"], {0: (rows, rows)})
    with pytest.raises(ModelFormatError, match="do not match"):
        read_snapshots(path)
    path.write_bytes(b"no")
    with pytest.raises(ModelFormatError, match="contains no training snapshots"):
        read_snapshots(path)


def test_snapshots_of_whole_numbers_are_refused(tmp_path) -> None:
    rows = np.ones((1, 2), np.int64)
    tensors = {"ids": np.frombuffer(b"a", np.uint8), "000000/images": rows, "000000/texts": rows}
    (tmp_path / "s").write_bytes(save(tensors))
    with pytest.raises(ModelFormatError, match="contains no training snapshots"):
        read_snapshots(tmp_path / "s")
