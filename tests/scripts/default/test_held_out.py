"""Items set aside."""

import numpy as np

from scripts.default.held_out import held_out


def test_shares():
    labels = np.repeat([-1, 0, 2], [40, 10, 20])
    chosen = held_out(labels, np.random.default_rng(0), unlabelled=0.05, labelled=0.2)
    assert [chosen[labels == label].sum() for label in (-1, 0, 2)] == [2, 2, 4]
    again = held_out(labels, np.random.default_rng(0), unlabelled=0.05, labelled=0.2)
    assert np.array_equal(again, chosen)
    other = held_out(labels, np.random.default_rng(1), unlabelled=0.05, labelled=0.2)
    assert not np.array_equal(other, chosen)
