"""What is read is what was written; what is wrong is in tests/hub."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from cmr_hub.errors import ModelFormatError
from cmr_hub.models.safetensors_header import read_header


def test_types_and_shapes(tmp_path):
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
    types = ("F32", "F64", "F16", "I64", "BOOL", "U8")
    assert found == {
        name: (dtype, array.shape)
        for (name, array), dtype in zip(arrays.items(), types, strict=True)
    }


def test_no_tensors(tmp_path):
    save_file({}, tmp_path / "a.safetensors")
    assert read_header(tmp_path / "a.safetensors") == {}


def test_types_that_no_model_has(tmp_path):
    header = b'{"a": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}'
    content = len(header).to_bytes(8, "little") + header + b"12"
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(ModelFormatError, match="a has the unsupported type BF16"):
        read_header(tmp_path / "a.safetensors")
