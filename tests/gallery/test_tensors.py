import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from cmr_hub.errors import ModelFormatError
from cmr_hub.gallery.tensors import map_tensors, write_tensors

ARRAYS = {
    "bytes": np.arange(7, dtype=np.uint8),
    "rows": np.arange(10, dtype=np.int64),
    "matrix": np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32),
    "none": np.empty((0, 3), np.float32),
    "links": np.arange(5, dtype=np.int32),
}


def test_the_library_reads_what_is_written(tmp_path):
    blocks = {name: [array[:2], array[2:]] for name, array in ARRAYS.items()}
    write_tensors(tmp_path / "x", blocks)
    for found in (load_file(tmp_path / "x"), map_tensors(tmp_path / "x")):
        assert set(found) == set(ARRAYS)
        for name, array in ARRAYS.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)


def test_what_the_library_writes_is_read(tmp_path):
    save_file(ARRAYS, tmp_path / "x", metadata={"a": "b"})
    for name, array in map_tensors(tmp_path / "x").items():
        np.testing.assert_array_equal(array, ARRAYS[name])


def test_no_damage_is_read_as_something_else(tmp_path):
    path = tmp_path / "x"
    write_tensors(path, {name: [array] for name, array in ARRAYS.items()})
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for length in (0, 4, 8, header - 1, header, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFormatError):
            map_tensors(path)
    path.write_bytes(whole + b"x")
    with pytest.raises(ModelFormatError):
        map_tensors(path)
    for old, new in ((b"F32", b"F99"), (b"[10, 3]", b"[99, 3]"), (b"[10, 3]", b"[-1,-3]")):
        path.write_bytes(whole.replace(old, new))
        with pytest.raises(ModelFormatError):
            map_tensors(path)


@pytest.mark.parametrize("shape", ["[1e999]", "[NaN]", '"123"', "[[1]]", "null", "[true, 1e308]"])
def test_shapes_that_are_none(tmp_path, shape):
    header = b'{"x": {"dtype": "U8", "shape": %s, "data_offsets": [0, 3]}}' % shape.encode()
    (tmp_path / "x").write_bytes(len(header).to_bytes(8, "little") + header + b"abc")
    with pytest.raises(ModelFormatError):
        map_tensors(tmp_path / "x")
