"""What tables say of pictures: the same for an index and for training."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from unicodedata import normalize

import pytest

from cmr_hub.datasets import load_dataset
from cmr_hub.datasets.metadata import (
    Annotations,
    annotations_of,
    metadata_files,
    picture_annotations,
    walk,
)
from cmr_hub.datasets.report import ReadReport


def told(base: Path, report: ReadReport | None = None) -> dict[str, Annotations]:
    report = ReadReport() if report is None else report
    files = walk(base, report)
    tables = metadata_files(files, base, report)
    found = picture_annotations(files, base, report, tables=tables)
    return {path.relative_to(base).as_posix(): one for path, one in found.items()}


def touch(base: Path, *names: str) -> None:
    for name in names:
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).touch()


def test_rows_of_one_picture_are_its_captions(tmp_path):
    touch(tmp_path, "a.jpg", "b.jpg")
    rows = ["a.jpg,one,,2", "b.jpg,other,x,", "a.jpg,two,dog,3", "a.jpg,one,cat,", "a.jpg,three,,"]
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,caption,label,n", *rows]))
    found = told(tmp_path)
    assert found["a.jpg"].sentences == ("one", "two", "three")
    assert (found["a.jpg"].label, found["a.jpg"].metadata) == ("dog", {"n": 2})
    dataset = load_dataset("folder", tmp_path, check_images=False)
    assert dataset.ids == ("a.jpg", "b.jpg")
    assert dataset.sentences == (("one", "two", "three"), ("other",))
    assert dataset.classes == ("dog", "x")


def test_doubles_in_one_row_are_kept(tmp_path):
    """As Flickr8k has them."""
    touch(tmp_path, "a.jpg")
    record = {"file_name": "a.jpg", "captions": ["one", "one", "two"]}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(record))
    assert told(tmp_path)["a.jpg"].sentences == ("one", "one", "two")


def test_several_tables_add_up(tmp_path):
    touch(tmp_path, "sub/a.jpg")
    (tmp_path / "metadata.json").write_text('[{"file_name": "sub/a.jpg", "text": "one", "n": 1}]')
    (tmp_path / "sub" / "metadata.tsv").write_text("file_name\ttext\tn\tm\na.jpg\ttwo\t5\t6\n")
    (tmp_path / "sub" / "Metadata.CSV").write_text("file_name,text\na.jpg,three\n")
    found = told(tmp_path)["sub/a.jpg"]
    assert found.sentences == ("one", "three", "two")
    assert found.metadata == {"n": 1, "m": 6}


@pytest.mark.parametrize(
    ("on_disk", "written"),
    [
        (normalize("NFD", "Café.jpg"), normalize("NFC", "Café.jpg")),
        (normalize("NFC", "Café.jpg"), normalize("NFD", "Café.jpg")),
        ("sub/b.jpg", ".\\sub\\b.jpg"),
        ("sub/b.jpg", "./sub/b.jpg"),
        ("sub/b.jpg", "sub\\b.JPG"),
        ("C.JPG", "c.jpg"),
        ("c.jpg", "C.JPG"),
        ("a b.jpg", " a b.jpg "),
        ("a\\b.jpg", "a\\b.jpg"),
        (normalize("NFD", "Ü/é.PNG"), normalize("NFC", "Ü\\é.png")),
    ],
)
def test_names_of_files(tmp_path, on_disk, written):
    touch(tmp_path, on_disk)
    record = {"file_name": written, "text": "x"}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(record))
    assert list(told(tmp_path)) == [on_disk]


def test_a_whole_path_names_a_picture_of_the_folder(tmp_path):
    touch(tmp_path, "out.jpg", "in/sub/a.jpg")
    lines = ["file_name,text", f"{tmp_path}/in/sub/a.jpg,x", f"{tmp_path}/out.jpg,y"]
    (tmp_path / "in" / "metadata.csv").write_text("\n".join(lines))
    report = ReadReport()
    assert list(told(tmp_path / "in", report)) == ["sub/a.jpg"]
    assert report.counts == {"unsafe path": 1}


def test_a_name_that_could_be_two_files_is_none(tmp_path):
    touch(tmp_path, "a.jpg", "A.JPG")
    (tmp_path / "metadata.csv").write_text("file_name,text\nA.jpg,x\na.jpg,y\n")
    report = ReadReport()
    assert told(tmp_path, report)["a.jpg"].sentences == ("y",)
    assert report.counts == {"missing image": 1}


@pytest.mark.parametrize("name", ["..\\x.jpg", "sub\\..\\..\\x.jpg", "OUT.jpg", "/etc/x.jpg"])
def test_names_that_lead_out_in_other_letters(tmp_path, name):
    touch(tmp_path, "x.jpg", "in/a.jpg")
    (tmp_path / "in" / "out.jpg").symlink_to(tmp_path / "x.jpg")
    lines = ["file_name,text", f"{name},x", "a.jpg,y"]
    (tmp_path / "in" / "metadata.csv").write_text("\n".join(lines))
    report = ReadReport()
    assert list(told(tmp_path / "in", report)) == ["a.jpg"]
    assert report.counts == {"unsafe path": 1}


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("metadata.csv", b"", "it is empty"),
        ("metadata.csv", b"a;b\n1;2\n", "no column file_name; it has 'a;b'"),
        ("metadata.csv", b"file_name,text\n", "it has no rows"),
        ("metadata.csv", b"file_name,text\nq.jpg,x\nr.jpg,x\n", "none of its 2 rows .*q.jpg"),
        ("metadata.json", b'{"images": [], "info": {}}', "none of its 1 rows .*: no file_name"),
        ("metadata.json", b"[]", "it has no rows"),
        ("metadata.jsonl", b"hello\nthere\n" * 50, "not JSON"),
        ("metadata.parquet", b"PAR1 and no more", "not Parquet"),
        ("metadata.tsv", bytes(range(256)), "no column file_name"),
    ],
)
def test_a_table_of_something_else_is_told_in_one_line(tmp_path, name, data, reason):
    touch(tmp_path, "a.jpg", "sub/b.jpg")
    (tmp_path / "sub" / name).write_bytes(data)
    (tmp_path / "metadata.csv").write_text("file_name,text\na.jpg,good\n")
    report = ReadReport()
    assert told(tmp_path, report)["a.jpg"].sentences == ("good",)
    (problem,) = [one for one in report if one.kind in ("unread table", "damaged record")]
    assert problem.path == str(tmp_path / "sub" / name)
    assert re.search(reason, problem.detail), problem.detail
    assert load_dataset("folder", tmp_path, check_images=False).ids == ("a.jpg",)


def test_a_table_that_is_no_file_is_told(tmp_path):
    touch(tmp_path, "a.jpg")
    (tmp_path / "metadata.csv").symlink_to(tmp_path / "gone.csv")
    os.mkfifo(tmp_path / "metadata.json")
    report = ReadReport()
    assert told(tmp_path, report) == {}
    assert report.counts == {"unread table": 2}


NAN = float("nan")


@pytest.mark.parametrize(
    ("record", "sentences", "label", "metadata"),
    [
        ({"label": NAN, "text": "x"}, ("x",), None, {}),
        ({"label": 1.0, "text": NAN}, (), "1", {}),
        ({"label": " 01 ", "captions": ["a dog", None, NAN]}, ("a dog",), "01", {}),
        ({"label": 1.5, "captions": ["one", 2, "two"]}, ("one", "two"), None, {}),
        ({"captions": None, "caption": NAN, "text": "x", "n": None}, ("x",), None, {}),
        ({"caption": "x", "text": "y", "n": NAN, "m": 0}, ("x",), None, {"text": "y", "m": 0}),
    ],
)
def test_what_is_missing_says_nothing(record, sentences, label, metadata):
    found = annotations_of(record, "here", ReadReport())
    assert (found.sentences, found.label, dict(found.metadata)) == (sentences, label, metadata)
