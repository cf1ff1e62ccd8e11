import hashlib

import numpy as np
import pytest

from cmr_hub.checksums import sha256_of_arrays, sha256_of_file


@pytest.mark.parametrize("content", [b"", b"abc", bytes(range(256)) * 10_000])
def test_file(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert sha256_of_file(path) == hashlib.sha256(content).hexdigest()
    assert sha256_of_file(str(path)) == sha256_of_file(path)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        sha256_of_file(tmp_path / "absent")


def test_arrays_in_any_order_and_layout():
    a, b = np.arange(6.0).reshape(2, 3), np.array([1, 2])
    expected = sha256_of_arrays({"a": a, "b": b})
    assert sha256_of_arrays({"b": b, "a": a}) == expected
    assert sha256_of_arrays({"a": np.asfortranarray(a), "b": np.repeat(b, 2)[::2]}) == expected


@pytest.mark.parametrize(
    "other",
    [
        {"b": np.zeros((2, 3))},
        {"a": np.zeros((3, 2))},
        {"a": np.zeros(6)},
        {"a": np.zeros((2, 3), np.float32)},
        {"a": np.zeros((2, 3), np.int64)},
        {"a": np.full((2, 3), -0.0)},
        {"a": np.zeros((2, 3)), "b": np.zeros(0)},
        {},
    ],
)
def test_arrays_differ(other):
    assert sha256_of_arrays(other) != sha256_of_arrays({"a": np.zeros((2, 3))})
