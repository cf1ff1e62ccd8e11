from __future__ import annotations

import pytest
import torch

from cmr_hub.errors import CMRError
from cmr_hub.losses.orthonormal import orthonormal


@pytest.mark.parametrize(("dim", "n_classes"), [(5, 5), (9, 4), (3, 1)])
def test_columns_are_orthonormal_whatever_the_seed(dim: int, n_classes: int) -> None:
    torch.manual_seed(1)
    first = orthonormal(dim, n_classes)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = orthonormal(dim, n_classes)
    assert torch.equal(first, second)
    assert torch.equal(state, torch.get_rng_state()), "the run's own random numbers are not used"
    assert first.shape == (dim, n_classes)
    torch.testing.assert_close(first.T @ first, torch.eye(n_classes), atol=1e-6, rtol=0)


def test_seed_zero_is_part_of_what_saved_models_were_trained_with() -> None:
    generator = torch.Generator().manual_seed(0)
    expected = torch.nn.init.orthogonal_(torch.empty(6, 4), generator=generator)
    torch.testing.assert_close(orthonormal(6, 4), expected)


def test_too_small_a_space_is_told() -> None:
    with pytest.raises(CMRError, match="at least 6"):
        orthonormal(5, 6)
