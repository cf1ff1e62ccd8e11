"""The schedule of a training."""

import numpy as np
import pytest

from cmr_hub.errors import TrainingError
from scripts.default.epochs import Schedule

SETTINGS = {
    "epochs": 10,
    "batch_size": 8,
    "learning_rate": 3e-3,
    "weight_decay": 0.1,
    "warmup": 2.0,
    "sizes": ((32, 0.3), (64, 0.5), (96, 0.2)),
    "validate_every": 2,
}


def test_sizes():
    schedule = Schedule(**SETTINGS)
    assert [schedule.size_at(epoch) for epoch in range(10)] == [32] * 3 + [64] * 5 + [96] * 2


def test_learning_rates():
    schedule = Schedule(**SETTINGS)
    rates = [schedule.rate_at(epoch, 0.4) for epoch in (0, 1, 2, 5, 9.9)]
    assert 0 < rates[0] < rates[1] < rates[2] <= 0.4
    assert rates[2] == pytest.approx(0.2 * (1 + np.cos(np.pi / 5)))
    assert rates[3] == pytest.approx(0.2)
    assert rates[4] < 0.001 * 0.4


def test_no_warmup():
    schedule = Schedule(**SETTINGS | {"warmup": 0.0})
    assert schedule.rate_at(0, 0.4) == pytest.approx(0.4)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"validate_every": 0},
        {"learning_rate": 0.0},
        {"sizes": ((64, 0.5),)},
        {"sizes": ((16, 1.0),)},
    ],
)
def test_settings_out_of_range(wrong):
    with pytest.raises(TrainingError, match=r"needs|must be"):
        Schedule(**SETTINGS | wrong)
