"""What is read must be what the safetensors library reads; what is wrong is in tests/hub."""

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from cmr_hub.models.safetensors_header import read_header


def test_the_header_is_that_of_the_library(tmp_path):
    generator = np.random.default_rng(0)
    arrays = {
        f"a{number}": generator.integers(0, 2, shape).astype(kind)
        for number, (shape, kind) in enumerate(
            [
                ((3, 4), "f4"),
                ((), "f8"),
                ((2, 0, 3), "f2"),
                ((5,), "i8"),
                ((1, 2), "?"),
                ((7,), "u1"),
            ]
        )
    }
    path = tmp_path / "a.safetensors"
    save_file(arrays, path, metadata={"format": "pt"})
    found = read_header(path)
    with safe_open(path, "numpy") as file:
        assert set(file.keys()) == set(found) == set(arrays)
        for name in arrays:
            assert found[name].dtype == file.get_slice(name).get_dtype()
            assert found[name].shape == file.get_slice(name).get_shape()


def test_no_tensors(tmp_path):
    save_file({}, tmp_path / "a.safetensors")
    assert read_header(tmp_path / "a.safetensors") == {}
