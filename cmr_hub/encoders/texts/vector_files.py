"""Read pretrained word vectors in the text format of GloVe or a format of word2vec.

gensim reads the binary format. Its text reader refuses words with a space, which the published
GloVe file of 840 billion tokens has, files with tabs, and files with fewer words than their header
states. It also does not report the line of an error.
"""

from __future__ import annotations

import gzip
import logging
import re
import zlib
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import numpy as np
from tqdm import tqdm

from cmr_hub.encoders.optional import optional_import
from cmr_hub.errors import DataFormatError, DataNotFoundError
from cmr_hub.types import FloatArray

logger = logging.getLogger(__name__)

_HEADER = re.compile(rb"[0-9]{1,18}[ \t][0-9]{1,18}[ \t\r\n]*")
_MAX_LINE = 1 << 20
_DEFLATE = 1032
"""Maximum number of bytes that a byte of gzip unpacks to."""


def read_vectors(path: str | Path, limit: int | None = None) -> tuple[list[str], FloatArray]:
    """Read words and their vectors from a file, or only its first `limit` words.

    A name that ends in `.bin` means the binary format of word2vec. Other files are text with a word
    and its numbers per line, separated by spaces or tabs, with a header line (word2vec) or without
    (GloVe). `.gz` may follow. If a word is repeated, its first vector is used. Bytes that are not
    UTF-8 are replaced. Such repairs are logged as one warning.

    Returns:
        V words and their (V, D) float32 vectors, in the order of the file.

    Raises:
        DataNotFoundError: The file does not exist.
        DataFormatError: The file is empty, truncated or malformed; for text the message names the
            line.
    """
    file = Path(path)
    if not file.is_file():
        raise DataNotFoundError(f"there is no file {file}: pass a GloVe or word2vec file")
    try:
        if ".bin" in file.suffixes[-2:]:
            words, vectors = _read_binary(file, limit)
        else:
            words, vectors = _read_text(file, limit)
    except (OSError, EOFError, zlib.error) as error:
        raise DataFormatError(f"{file}: cannot be read to its end: {error}") from error
    if not words:
        raise DataFormatError(f"{file} has no word vectors")
    return words, vectors


def _read_text(file: Path, limit: int | None) -> tuple[list[str], FloatArray]:
    rows: dict[str, FloatArray] = {}
    repaired: Counter[str] = Counter()
    header: tuple[int, int] | None = None
    dim, read = 0, 0
    for number, line in _lines(file):
        if number == 1 and _HEADER.fullmatch(line):
            count, width = line.split()
            header = int(count), int(width)
            continue
        if not line.strip():
            continue
        if limit is not None and len(rows) == limit:
            header = header and (read, header[1])
            break
        if header and not rows and not _contradicts(line, header[1]):
            dim = header[1]
        word, row = _parse(line, dim, f"{file}, line {number}")
        dim, read = len(row), read + 1
        repaired["repeated words left out"] += word in rows
        repaired["words with bytes that are not UTF-8"] += "\ufffd" in word
        rows.setdefault(word, row)
    if rows and header not in (None, (read, dim)):
        repaired["wrong header ignored"] = 1
    if repaired.total():
        repairs = (f"{repair}: {count:,}" for repair, count in repaired.items() if count)
        logger.warning("%s: %s", file, "; ".join(repairs))
    return list(rows), np.array(list(rows.values()), dtype=np.float32)


@contextmanager
def _content(file: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Yield an open file and its content, which is decompressed if the file is gzip."""
    with file.open("rb") as raw:
        if file.suffix != ".gz":
            yield raw, raw
            return
        with gzip.GzipFile(fileobj=raw) as unpacked:
            yield raw, cast("IO[bytes]", unpacked)


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    size = file.stat().st_size
    with (
        _content(file) as (raw, content),
        tqdm(
            total=size,
            unit="B",
            unit_scale=True,
            desc="reading word vectors",
            disable=None,
            delay=1.0,
        ) as bar,
    ):
        # Only \n ends a line, because words of GloVe contain other line separators of Unicode.
        lines = iter(lambda: content.readline(_MAX_LINE), b"")
        for number, line in enumerate(lines, start=1):
            yield number, line.removeprefix(BOM_UTF8) if number == 1 else line
            if number % 1000 == 0:
                bar.update(raw.tell() - bar.n)


def _fields(line: bytes) -> list[str]:
    return line.decode(errors="replace").strip(" \t\r\n").replace("\t", " ").split(" ")


def _contradicts(line: bytes, dim: int) -> bool:
    """Return whether a line has a single word and another number of numbers than `dim`."""
    _, *rest = _fields(line)
    return len(rest) != dim and all(map(_is_number, rest))


def _parse(line: bytes, dim: int, where: str) -> tuple[str, FloatArray]:
    fields = _fields(line)
    # Some published files have words with spaces, but too many numbers are an error.
    n_numbers = dim or len(fields) - 1
    head, numbers = fields[:-n_numbers], fields[-n_numbers:] if n_numbers else []
    if not head or not numbers or any(map(_is_number, head[1:])):
        expected = f"{dim} numbers" if dim else "numbers"
        raise DataFormatError(f"{where}: expected a word and {expected}, got {len(fields)} fields")
    try:
        with np.errstate(over="ignore"):
            row = np.array([float(number) for number in numbers], dtype=np.float32)
    except ValueError as error:
        raise DataFormatError(f"{where}: {error}") from error
    if not np.isfinite(row).all():
        raise DataFormatError(f"{where} has a value that is not finite")
    return " ".join(head), row


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _read_binary(file: Path, limit: int | None) -> tuple[list[str], FloatArray]:
    with _content(file) as (_, content):
        header = content.readline(64)
    if not _HEADER.fullmatch(header):
        raise DataFormatError(
            f"{file} does not start with two numbers, as the binary format of word2vec does"
        )
    count, dim = map(int, header.split())
    keyed_vectors = optional_import("gensim.models", f"reading {file.name}", "study").KeyedVectors
    # A damaged header must not allocate more memory than the file can fill.
    most = file.stat().st_size * (_DEFLATE if file.suffix == ".gz" else 1)
    if count * dim * 4 > most:
        raise DataFormatError(f"{file} is too short for {count} words of {dim} numbers")
    try:
        loaded = keyed_vectors.load_word2vec_format(
            str(file), binary=True, limit=limit, unicode_errors="replace"
        )
    except (ValueError, MemoryError) as error:
        raise DataFormatError(f"{file}: {error}") from error
    # gensim drops repeated words, and leaves empty positions at the end.
    words = [word for word in loaded.index_to_key if word is not None]
    vectors = np.asarray(loaded.vectors[: len(words)], dtype=np.float32)
    if not np.isfinite(vectors).all():
        raise DataFormatError(f"{file} has values that are not finite")
    return words, vectors
