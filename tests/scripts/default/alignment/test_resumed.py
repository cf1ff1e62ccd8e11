"""A run that was stopped goes on from its checkpoint, and from no other run's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from alignment import SETTINGS, N, weights, without_seconds

from cmr_hub.errors import TrainingError
from scripts.default import epochs
from scripts.default.alignment import align


class StoppedError(Exception):
    """As a kill would end it."""


@pytest.mark.parametrize("stop_after", [1, 2])
def test_resumed_run_is_as_if_never_stopped(
    views, pictures, words, start, tmp_path, monkeypatch, stop_after
):
    monkeypatch.setattr(epochs, "_CHECKPOINT_SECONDS", 0.0)

    def run(checkpoints=None):
        return align(
            views,
            pictures,
            words,
            SETTINGS,
            0,
            encoder=start,
            checkpoints=checkpoints,
        )

    whole = run()
    write, written = epochs.write_checkpoint, []

    def write_and_stop(*arguments):
        write(*arguments)
        written.append(arguments)
        if len(written) == stop_after:
            raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(epochs, "write_checkpoint", write_and_stop)
        with pytest.raises(StoppedError):
            run(tmp_path)
    torch.rand(7)
    resumed = run(tmp_path)
    assert weights(resumed) == weights(whole)
    assert without_seconds(resumed.history) == without_seconds(whole.history)
    assert run(tmp_path).history == resumed.history


@pytest.mark.parametrize("change", ["learning_rate", "seed", "start", "sentence", "held out"])
def test_checkpoint_of_another_run_is_refused(views, pictures, words, start, tmp_path, change):
    settings = replace(SETTINGS, epochs=1)
    align(views, pictures, words, settings, 0, checkpoints=tmp_path)
    if change == "learning_rate":
        settings = replace(settings, learning_rate=1e-4)
    elif change == "sentence":
        pictures = replace(pictures, sentences=(("blue",), *pictures.sentences[1:]))
    elif change == "held out":
        pictures = replace(pictures, held_out=np.arange(N) == 5)
    with pytest.raises(TrainingError, match="another preset, seed, data"):
        align(
            views,
            pictures,
            words,
            settings,
            int(change == "seed"),
            encoder=start if change == "start" else None,
            checkpoints=tmp_path,
        )
