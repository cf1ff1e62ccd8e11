import os

import pytest

from cmr_hub.datasets.files import read_bytes


def test_limit_is_inclusive(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_bytes(path, 5) == b"12345"
    with pytest.raises(OSError, match="it has 5 bytes; the limit is 4"):
        read_bytes(path, 4)


def test_what_is_no_file_is_refused_in_plain_words(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"^it is not a regular file$"):
        read_bytes(tmp_path / "pipe", 9)
    with pytest.raises(OSError, match=r"^it is a folder$"):
        read_bytes(tmp_path, 9)
    with pytest.raises(OSError, match=r"^there is no such file$"):
        read_bytes(tmp_path / "none", 9)
    with pytest.raises(OSError, match=r"^the name is not a valid path$"):
        read_bytes(tmp_path / "a\0b", 9)
    with pytest.raises(OSError, match=r"^File name too long$"):
        read_bytes(tmp_path / ("a" * 300), 9)
