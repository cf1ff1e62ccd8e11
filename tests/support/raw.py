"""Create the smallest camera RAW file that LibRaw reads: a DNG with an embedded preview."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image

_BYTE, _ASCII, _SHORT, _LONG = 1, 2, 3, 4
_FORMATS = {_BYTE: "B", _ASCII: "s", _SHORT: "H", _LONG: "I"}


def dng(preview: Image.Image) -> bytes:
    """Return a DNG of 64 × 64 sensor pixels, whose preview is a JPEG of the picture."""
    file = io.BytesIO()
    preview.save(file, "JPEG", quality=95)
    jpeg = file.getvalue()
    sensor = np.random.default_rng(0).integers(0, 4096, (64, 64), dtype="<u2").tobytes()
    common = [(271, _ASCII, b"Maker\0"), (272, _ASCII, b"Maker One\0"), (274, _SHORT, [1])]
    # All offsets depend on the lengths of the directories, not on their values.
    first, raw = b"", b""
    for _ in range(2):
        start = 8
        at_raw = start + len(first)
        at_jpeg = at_raw + len(raw)
        at_sensor = at_jpeg + len(jpeg) + len(jpeg) % 2
        first = _directory(
            start,
            [
                (254, _LONG, [1]),
                *_strip(preview.width, preview.height, [8, 8, 8], 7, 6, at_jpeg, len(jpeg)),
                *common,
                (330, _LONG, [at_raw]),
                (50706, _BYTE, [1, 4, 0, 0]),
                (50708, _ASCII, b"Maker One\0"),
            ],
        )
        raw = _directory(
            at_raw,
            [
                (254, _LONG, [0]),
                *_strip(64, 64, [16], 1, 32803, at_sensor, len(sensor)),
                (33421, _SHORT, [2, 2]),
                (33422, _BYTE, [0, 1, 1, 2]),
            ],
        )
    return b"II*\0" + struct.pack("<I", 8) + first + raw + jpeg + b"\0" * (len(jpeg) % 2) + sensor


def _strip(width, height, bits, compression, meaning, offset, size):
    return [
        (256, _LONG, [width]),
        (257, _LONG, [height]),
        (258, _SHORT, bits),
        (259, _SHORT, [compression]),
        (262, _SHORT, [meaning]),
        (273, _LONG, [offset]),
        (277, _SHORT, [len(bits)]),
        (278, _LONG, [height]),
        (279, _LONG, [size]),
    ]


def _directory(start, entries):
    """Return a directory of tags at this offset, followed by the values that do not fit in it."""
    entries = sorted(entries, key=lambda entry: entry[0])
    head, rest = struct.pack("<H", len(entries)), b""
    after = start + 2 + 12 * len(entries) + 4
    for tag, kind, values in entries:
        data = values if kind == _ASCII else struct.pack(f"<{len(values)}{_FORMATS[kind]}", *values)
        if len(data) > 4:
            place = struct.pack("<I", after + len(rest))
            rest += data + b"\0" * (len(data) % 2)
        else:
            place = data.ljust(4, b"\0")
        head += struct.pack("<HHI", tag, kind, len(values)) + place
    return head + struct.pack("<I", 0) + rest
