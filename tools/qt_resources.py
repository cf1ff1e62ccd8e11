"""Read Qt's binary resource files (`.rcc`), which contain a tree of named files."""

from __future__ import annotations

import struct
import zlib
from typing import Final

_FOLDER: Final = 2
_ZLIB: Final = 1
_ZSTANDARD: Final = 4


def read_resources(data: bytes) -> dict[str, bytes]:
    """Return the contents of a resource file by path in the tree.

    Raises:
        ValueError: the data is not a resource file, is damaged, or is compressed with Zstandard.
    """
    try:
        magic, version, tree, contents, names = struct.unpack_from(">4s4I", data)
        if magic != b"qres":
            raise ValueError("this is not a Qt resource file: it does not begin with 'qres'")
        # From version 2 on, an entry ends with the time when the file was changed.
        entry = 22 if version >= 2 else 14
        found: dict[str, bytes] = {}
        waiting = [(0, "")]
        seen = set()
        while waiting:
            number, parent = waiting.pop()
            if number in seen:
                raise ValueError(
                    "a folder of the Qt resource file contains itself; download it again"
                )
            seen.add(number)
            at = tree + number * entry
            name, flags = struct.unpack_from(">IH", data, at)
            path = f"{parent}/{_name(data, names + name)}" if number else ""
            if flags & _FOLDER:
                count, first = struct.unpack_from(">II", data, at + 6)
                if first + count > len(data) // entry:
                    raise ValueError("the Qt resource file is truncated; download it again")
                waiting += [(first + i, path) for i in range(count)]
            else:
                (content,) = struct.unpack_from(">I", data, at + 10)
                found[path.lstrip("/")] = _content(data, contents + content, flags)
    except (struct.error, zlib.error):
        raise ValueError("the Qt resource file is damaged; download it again") from None
    return found


def _name(data: bytes, at: int) -> str:
    """Decode a name: its length, a hash, and UTF-16."""
    (length,) = struct.unpack_from(">H", data, at)
    return data[at + 6 : at + 6 + 2 * length].decode("utf-16-be")


def _content(data: bytes, at: int, flags: int) -> bytes:
    (size,) = struct.unpack_from(">I", data, at)
    content = data[at + 4 : at + 4 + size]
    if len(content) < size:
        raise ValueError("the Qt resource file is truncated; download it again")
    if flags & _ZSTANDARD:
        raise ValueError("the Qt resource file is compressed with Zstandard; use an older one")
    # Qt writes the size before the zlib data.
    return zlib.decompress(content[4:]) if flags & _ZLIB else content
