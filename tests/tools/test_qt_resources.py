"""Qt's resource files, written here as Qt documents them."""

import contextlib
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.qt_resources import read_resources


def resource_file(*, version: int = 1, compressed: bool = False, flags: int = 0) -> bytes:
    """The files `red/a.txt` ("red apple") and `b.txt` ("blue"): entries 0 is the root, 1 and 2 are
    in it, 3 is in entry 1."""
    name_at, names = {}, b""
    for name in ("red", "b.txt", "a.txt"):
        name_at[name] = len(names)
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    content_at, contents = {}, b""
    for text in (b"red apple", b"blue"):
        content_at[text] = len(contents)
        body = struct.pack(">I", len(text)) + zlib.compress(text) if compressed else text
        contents += struct.pack(">I", len(body)) + body
    flag = int(compressed) | flags
    time = b"\0" * 8 if version >= 2 else b""

    def folder(name: int, count: int, first: int) -> bytes:
        return struct.pack(">IHII", name, 2, count, first) + time

    def file(name: str, text: bytes) -> bytes:
        return struct.pack(">IHHHI", name_at[name], flag, 0, 0, content_at[text]) + time

    tree = (
        folder(0, 2, 1)
        + folder(name_at["red"], 1, 3)
        + file("b.txt", b"blue")
        + file("a.txt", b"red apple")
    )
    head = 20
    offsets = (head, head + len(tree), head + len(tree) + len(contents))
    return struct.pack(">4s4I", b"qres", version, *offsets) + tree + contents + names


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("compressed", [False, True])
def test_reads_all_files(version, compressed):
    data = resource_file(version=version, compressed=compressed)
    assert read_resources(data) == {"red/a.txt": b"red apple", "b.txt": b"blue"}


def test_zstandard_is_refused():
    with pytest.raises(ValueError, match="Zstandard"):
        read_resources(resource_file(version=3, flags=4))


def test_another_file_is_refused():
    with pytest.raises(ValueError, match="not a Qt resource file"):
        read_resources(b"RIFF" + b"\0" * 40)


@given(st.integers(0, len(resource_file()) - 1))
def test_a_cut_file_is_refused_or_wrong_in_names_only(length):
    """Names come last and have no checksum, so a cut inside one shortens it."""
    data = resource_file()[:length]
    try:
        read = read_resources(data)
    except ValueError:
        return
    assert set(read.values()) <= {b"red apple", b"blue"}


@given(st.booleans(), st.data())
def test_a_changed_byte_ends_in_files_or_in_value_error(compressed, drawn):
    data = bytearray(resource_file(compressed=compressed))
    data[drawn.draw(st.integers(0, len(data) - 1))] = drawn.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        assert isinstance(read_resources(bytes(data)), dict)


def test_a_folder_in_itself_is_refused():
    data = bytearray(resource_file())
    # Entry 1, a folder, whose first file becomes entry 1.
    struct.pack_into(">I", data, 20 + 14 + 10, 1)
    with pytest.raises(ValueError, match="contains itself"):
        read_resources(bytes(data))
