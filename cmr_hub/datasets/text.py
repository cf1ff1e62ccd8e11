"""Read external text files: decode with repair, and split into sentences."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from cmr_hub.datasets.report import ReadReport
from cmr_hub.outside import read_bytes

MAX_TEXT_BYTES = 8 * 2**20


def decode_text(data: bytes, path: str | Path, report: ReadReport) -> str:
    """Decode `data`: UTF-8 with or without a byte order mark; other encodings are reported.

    UTF-16 is detected by its mark. All other bytes are decoded as Windows-1252, the usual superset
    of Latin-1, in which all bytes but five are defined (these become U+FFFD).
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        encoding = "utf-16" if marked else "cp1252"
        report.add("repaired encoding", path, f"not UTF-8, read as {encoding}")
        return data.decode(encoding, errors="replace")


def read_text(path: Path, report: ReadReport) -> str | None:
    """Return the decoded text of a file up to `MAX_TEXT_BYTES`; None, reported, if unreadable."""
    try:
        data = read_bytes(path, MAX_TEXT_BYTES)
    except OSError as error:
        report.add("broken text", path, str(error))
        return None
    return decode_text(data, path, report)


def split_lines(text: str) -> tuple[str, ...]:
    """Return the non-empty lines of a text, stripped."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def split_paragraphs(text: str) -> tuple[str, ...]:
    """Return the non-empty paragraphs of a text, which blank lines separate, each on one line."""
    parts = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text))
    return tuple(part for part in parts if part)
