import numpy as np
import pytest

from cmr_hub.float16 import from_half, rounded_to_half, to_half


def test_what_fits_is_halved_and_comes_back_to_the_bit():
    generator = np.random.default_rng(0)
    full = generator.standard_normal((5, 7)).astype(np.float32)
    arrays = {
        "full": full,
        "rounded": rounded_to_half(full),
        "large": np.array([1e6, 0.5], dtype=np.float32),
        "whole": np.arange(4),
        "wide": np.array([0.5]),
    }
    stored = to_half(arrays)
    assert {name: array.dtype.name for name, array in stored.items()} == {
        "full": "float32",
        "rounded": "float16",
        "large": "float32",
        "whole": "int64",
        "wide": "float64",
    }
    for name, array in from_half(stored).items():
        assert array.dtype == arrays[name].dtype
        np.testing.assert_array_equal(array, arrays[name])


def test_rounding():
    rows = np.array([0.1, 1 / 3, -7e-8], dtype=np.float32)
    np.testing.assert_array_equal(rounded_to_half(rows), rows.astype(np.float16))
    with pytest.raises(ValueError, match="do not fit into float16"):
        rounded_to_half(np.array([1e5], dtype=np.float32))
