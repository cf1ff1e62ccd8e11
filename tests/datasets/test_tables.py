"""Tables as people write them: delimiters, encodings, types, shapes of JSON."""

from __future__ import annotations

import codecs
import csv
import json
import math
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cmr_hub.datasets.report import ReadReport
from cmr_hub.datasets.tables import column_names, table_rows
from cmr_hub.errors import DataFormatError


def rows(path: Path, data: bytes | str, report: ReadReport | None = None) -> list[dict]:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return [row for _, row in table_rows(path, ReadReport() if report is None else report)]


ENCODINGS = {
    "plain": lambda text: text.encode(),
    "mark": lambda text: text.encode("utf-8-sig"),
    "utf-16-le": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
    "utf-16-be": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_delimiters_and_encodings(tmp_path, encoding, delimiter, newline):
    lines = [["file_name", "text"], ["a.jpg", '"a dog; a cat,\ta | b"'], ["ü.jpg", "犬"]]
    text = newline.join(delimiter.join(line) for line in lines) + newline
    path = tmp_path / ("metadata.tsv" if delimiter == "\t" else "metadata.csv")
    assert rows(path, ENCODINGS[encoding](text)) == [
        {"file_name": "a.jpg", "text": "a dog; a cat,\ta | b"},
        {"file_name": "ü.jpg", "text": "犬"},
    ]


RECORDS = [{"file_name": "a.jpg", "text": "ein Hund 犬"}, {"file_name": "b.jpg", "text": "["}]
SHAPES = {
    "lines": "\n".join,
    "lines with commas": lambda each: ",\n".join(each) + ",\n",
    "an array": lambda each: f"[{', '.join(each)}]",
    "an array over lines": lambda each: "[\n" + ",\n".join(each) + "\n]\n",
    "a damaged array": lambda each: "[" + ",\n".join([*each, '{"file_name": "c']) + "\n]",
    "objects over lines": lambda each: json.dumps(list(map(json.loads, each)), indent=2),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_json(tmp_path, encoding, shape, ending):
    text = SHAPES[shape]([json.dumps(record, ensure_ascii=False) for record in RECORDS])
    report = ReadReport()
    assert rows(tmp_path / f"metadata.{ending}", ENCODINGS[encoding](text), report) == RECORDS
    assert report.counts == ({"damaged record": 1} if shape == "a damaged array" else {})


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["9", "10", "100", ""], [9, 10, 100, None]),
        (["9", " 2.5", "-1e3", "NaN"], [9.0, 2.5, -1000.0, None]),
        (["1", "NA", "null", "-"], [1, None, None, None]),
        (["true", "False", ""], [True, False, None]),
        (["inf", "1"], [math.inf, 1.0]),
        (["1010", "0815"], ["1010", "0815"]),  # codes
        (["+43158801", "7"], ["+43158801", "7"]),
        (["12345678901234567890", "1"], ["12345678901234567890", "1"]),
        (["2020", "unknown"], ["2020", "unknown"]),
        (["2021-06-01", ""], ["2021-06-01", None]),
        (["NA", "none", ""], ["NA", "none", None]),
        (["1_000", "٣"], ["1_000", "٣"]),
        ([" ", "x "], [None, "x "]),
    ],
)
def test_types_of_cells(tmp_path, cells, values):
    lines = [f"a.jpg,{cell}" for cell in cells]
    found = [row["own"] for row in rows(tmp_path / "t.csv", "\n".join(["file_name,own", *lines]))]
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


def test_a_decimal_comma_stands_between_semicolons(tmp_path):
    text = "sep=;\nfile_name;price;note\na.jpg;1,5;1,5 euro\nb.jpg;2;\n"
    first, second = rows(tmp_path / "metadata.csv", text)
    assert first == {"file_name": "a.jpg", "price": 1.5, "note": "1,5 euro"}
    assert second == {"file_name": "b.jpg", "price": 2.0, "note": None}


def test_captions_names_and_classes_stay_text(tmp_path):
    text = "file_name,caption,label\n1,2020,1.0\n2,true,2\n"
    assert rows(tmp_path / "metadata.csv", text) == [
        {"file_name": "1", "caption": "2020", "label": 1.0},
        {"file_name": "2", "caption": "true", "label": 2.0},
    ]
    (row,) = rows(tmp_path / "metadata.csv", "file_name,label\n1,true\n")
    assert row["label"] == "true"


def test_what_pandas_writes(tmp_path):
    """With its index as a first column without a name."""
    text = ',file_name,n,text\n0,a,1.0,"x, y"\n1,b,,"z ""q""\nw"\n'
    assert rows(tmp_path / "metadata.csv", text) == [
        {"column_1": 0, "file_name": "a", "n": 1.0, "text": "x, y"},
        {"column_1": 1, "file_name": "b", "n": None, "text": 'z "q"\nw'},
    ]


@pytest.mark.parametrize(
    ("cell", "captions"),
    [
        (repr(["a dog", 'a "cat\'s" tail']), ["a dog", 'a "cat\'s" tail']),
        ('["a dog", "x, y"]', ["a dog", "x, y"]),
        ("[two dogs]", "[two dogs]"),
        ("[1, 2]", "[1, 2]"),
        ("[" * 1_000 + "]", "[" * 1_000 + "]"),
    ],
)
def test_a_list_in_a_cell_is_captions(tmp_path, cell, captions):
    with (tmp_path / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["file_name", "captions"], ["a.jpg", cell]])
    ((_, row),) = table_rows(tmp_path / "metadata.csv", ReadReport())
    assert row["captions"] == captions


def test_names_of_columns():
    given = [" File_Name", "", "Label", "Year", "age", "age", "AGE", "age_2"]
    expected = ["file_name", "column_2", "label", "year", "age", "age_2", "AGE", "age_2_2"]
    assert column_names(given) == expected


def test_rows_that_are_too_short_too_long_or_blank(tmp_path):
    text = "\n;;\nfile_name;text;n\na;x\nb;y;1;\nc;z;1;2\n;;\n"
    report = ReadReport()
    found = rows(tmp_path / "metadata.csv", text, report)
    assert [row["file_name"] for row in found] == ["a", "b"]
    assert found[0]["n"] is None
    (problem,) = report
    assert problem.path.endswith("metadata.csv:6")
    assert "more fields" in problem.detail


def test_a_quote_that_is_not_closed_is_told(tmp_path):
    report = ReadReport()
    rows(tmp_path / "metadata.tsv", 'file_name\ttext\na\t"x\nb\ty\n', report)
    assert [(p.path[-2:], p.detail) for p in report] == [
        (":2", "a quote is not closed: the rest is one field")
    ]
    report = ReadReport()
    rows(tmp_path / "metadata.tsv", 'file_name\ttext\na\ta 5" disk\nb\t"two\nlines"\n', report)
    assert len(report) == 0


def test_parquet(tmp_path):
    table = pa.table({"file_name": ["a"], "day": [date(2020, 1, 2)], "tags": [["x", None]]})
    pq.write_table(table, tmp_path / "metadata.parquet")
    ((place, row),) = table_rows(tmp_path / "metadata.parquet", ReadReport())
    assert place.endswith("metadata.parquet:1")
    assert row == {"file_name": "a", "day": date(2020, 1, 2), "tags": ["x", None]}


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("metadata.csv", b"", "it is empty"),
        ("metadata.csv", b"a;b\n1;2\n", "it has no column file_name; it has 'a;b'"),
        ("metadata.csv", b"\x89PNG\r\n\x1a\n" + bytes(99), "no column file_name"),
        ("metadata.parquet", b"PAR1 and no more", "not Parquet"),
        ("metadata.parquet", b"", "it is empty"),
    ],
)
def test_what_is_no_table(tmp_path, name, data, reason):
    with pytest.raises((OSError, DataFormatError), match=reason):
        rows(tmp_path / name, data)
