"""Read tables of many dialects: .csv, .tsv, .json, .jsonl and .parquet."""

from __future__ import annotations

import ast
import codecs
import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from cmr_hub.datasets.annotations import annotation_records
from cmr_hub.datasets.camera import FACTS
from cmr_hub.datasets.parquet import ParquetTable
from cmr_hub.datasets.report import ReadReport
from cmr_hub.datasets.text import decode_text
from cmr_hub.errors import DataFormatError
from cmr_hub.outside import check_file

FILE_NAME: Final = "file_name"
TEXT_KEYS: Final = ("captions", "caption", "text")
_KNOWN: Final = (FILE_NAME, *TEXT_KEYS, "label", *FACTS)
_LARGEST: Final = 8 * 2**30
_HEADER: Final = 65_536  # characters
_DELIMITERS: Final = ",;\t|"
_MISSING: Final = ("", "nan", "na", "n/a", "null", "none", "-")
"""Spellings of a missing value in a numeric column; in a text column only empty cells are missing.
"""
_CODE: Final = re.compile(r"[+-]?0\d|\+|[+-]?\d{19}")
"""Text that would lose zeros, its sign or digits as a number, such as 01234 or +43 1 58801."""
_DECIMAL_COMMA: Final = re.compile(r"[+-]?\d+(,\d+)?")


def table_rows(path: Path, report: ReadReport) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of a table, each with its location for messages.

    The text is UTF-8 or, with a byte order mark, UTF-16. The delimiter is a comma, a semicolon, a
    tab or a pipe. A column of numbers is read as numbers, and an empty cell as None. JSON is one
    array, one object per line, or annotations of COCO or FiftyOne.

    Raises:
        OSError, DataFormatError: the table cannot be read; the message is the reason.
    """
    if not check_file(path, _LARGEST):
        raise DataFormatError("it is empty: it has no rows and no column names")
    read = {".csv": _csv, ".tsv": _csv, ".parquet": _parquet}.get(path.suffix.lower(), _json)
    yield from read(path, report)


def column_names(header: Sequence[str]) -> list[str]:
    """Return unique column names without empty ones, and known ones in lower case."""
    names: list[str] = []
    for number, name in enumerate(header, start=1):
        plain = name.strip() or f"column_{number}"
        plain = plain.lower() if plain.lower() in _KNOWN else plain
        unique, copy = plain, 1
        while unique in names:
            copy += 1
            unique = f"{plain}_{copy}"
        names.append(unique)
    return names


def _csv(path: Path, report: ReadReport) -> Iterator[tuple[str, dict[str, Any]]]:
    text = decode_text(path.read_bytes(), path, report)
    skipped = int(text[:4].lower() == "sep=")  # Excel's sep= line before the header
    delimiter, names = _header("".join(islice(io.StringIO(text[:_HEADER]), skipped, None)))
    lines = islice(io.StringIO(text, newline=""), skipped, None)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    places: list[str] = []
    rows: list[list[str]] = []
    has_header = False
    while True:
        place = f"{path}:{reader.line_num + skipped + 1}"
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            report.add("damaged record", place, str(error))
            continue
        if not any(cells):
            continue
        if not has_header:
            has_header = True
        elif any(cells[len(names) :]):
            report.add("damaged record", place, "more fields than the header has columns")
        else:
            places.append(place)
            rows.append([*cells[: len(names)], *[""] * (len(names) - len(cells))])
    is_open = text.count('"') % 2 and not text.rstrip().endswith('"')
    if is_open and rows and any("\n" in cell for cell in rows[-1]):
        report.add("damaged record", places[-1], "a quote is not closed: the rest is one field")
    columns = [
        [_texts(cell) if cell.strip() else None for cell in column]
        if name in (FILE_NAME, *TEXT_KEYS)
        else _typed(column, name, delimiter)
        for name, column in zip(names, zip(*rows, strict=True), strict=False)
    ]
    for place, values in zip(places, zip(*columns, strict=True), strict=True):
        yield place, dict(zip(names, values, strict=True))


def _header(text: str) -> tuple[str, list[str]]:
    """Return the delimiter and the names of the columns."""
    names: list[str] = []
    for delimiter in _DELIMITERS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        with suppress(csv.Error):
            names = column_names(next((row for row in reader if any(row)), []))
            if FILE_NAME in names:
                return delimiter, names
    raise _without_names(text.strip().splitlines()[:1])


def _without_names(names: Sequence[str]) -> DataFormatError:
    return DataFormatError(f"it has no column {FILE_NAME}; it has {', '.join(names)[:200]!r}")


def _texts(cell: str) -> str | list[str]:
    """Return a text, or several texts if pandas wrote a list (`['a dog', 'a cat']`)."""
    if cell.startswith("[") and cell.endswith("]"):
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            texts = ast.literal_eval(cell)
            if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
                return texts
    return cell


def _typed(cells: Sequence[str], name: str, delimiter: str) -> list[Any]:
    """Return the values of a column as whole numbers, numbers, booleans or text."""
    values = [None if cell.strip().lower() in _MISSING else cell.strip() for cell in cells]
    known = [value for value in values if value is not None]
    if known and not any(map(_CODE.match, known)):
        if delimiter == ";" and all(map(_DECIMAL_COMMA.fullmatch, known)):
            values = [None if value is None else value.replace(",", ".") for value in values]
        kinds = (pa.int64(), pa.float64(), *([] if name == "label" else [pa.bool_()]))
        for kind in kinds:
            with suppress(pa.ArrowInvalid):
                typed: list[Any] = pa.array(values, pa.string()).cast(kind).to_pylist()
                return typed
    return [cell if cell.strip() else None for cell in cells]


def _json(path: Path, report: ReadReport) -> Iterator[tuple[str, dict[str, Any]]]:
    data = path.read_bytes()
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.decode("utf-16", errors="replace").encode()
    try:
        content = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        rows = _json_lines(path, data, report)
    else:
        records = content if isinstance(content, list) else annotation_records(content) or [content]
        rows = ((f"{path}:{number}", record) for number, record in enumerate(records, start=1))
    for place, record in rows:
        if isinstance(record, dict):
            yield place, dict(zip(column_names(list(record)), record.values(), strict=True))
        else:
            report.add("damaged record", place, "not a JSON object")


def _json_lines(path: Path, data: bytes, report: ReadReport) -> Iterator[tuple[str, Any]]:
    """Yield the value of each line; a line may end in a comma or be part of a damaged array."""
    for number, line in enumerate(data.splitlines(), start=1):
        place = f"{path}:{number}"
        text = decode_text(line, place, report).strip().removeprefix("[").removesuffix("]")
        text = text.strip().removesuffix(",")
        if not text:
            continue
        try:
            yield place, json.loads(text)
        except (ValueError, RecursionError) as error:
            report.add("damaged record", place, f"not JSON: {error}")


def _parquet(path: Path, report: ReadReport) -> Iterator[tuple[str, dict[str, Any]]]:
    file = ParquetTable(path)
    names = column_names(file.schema.names)
    if FILE_NAME not in names:
        raise _without_names(names)
    number = 0
    try:
        for number, record in enumerate(file.records(), start=1):
            values = map(record.get, file.schema.names)
            yield f"{path}:{number}", dict(zip(names, values, strict=True))
    except OSError as error:
        report.add("damaged record", f"{path}:{number + 1}", str(error))
