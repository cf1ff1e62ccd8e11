import pytest

from cmr_hub.datasets import text as text_module
from cmr_hub.datasets.report import ReadReport
from cmr_hub.datasets.text import decode_text, read_text, split_lines, split_paragraphs


@pytest.mark.parametrize("data", ["café ☕".encode(), "café ☕".encode("utf-8-sig")])
def test_utf8_with_and_without_mark_needs_no_repair(data):
    report = ReadReport()
    assert decode_text(data, "a", report) == "café ☕"
    assert len(report) == 0


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("naïve café".encode("latin-1"), "naïve café"),
        ("“quoted” – €5".encode("cp1252"), "“quoted” – €5"),
        ("naïve ☕".encode("utf-16"), "naïve ☕"),
        (b"\xe9 \x81", "é �"),
    ],
)
def test_other_encodings_are_repaired_and_reported(data, expected):
    report = ReadReport()
    assert decode_text(data, "a.txt", report) == expected
    assert [(problem.kind, problem.path) for problem in report] == [("repaired encoding", "a.txt")]


def test_unreadable_files_are_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(text_module, "MAX_TEXT_BYTES", 4)
    (tmp_path / "long").write_text("12345")
    report = ReadReport()
    for name in ("long", ".", "none"):
        assert read_text(tmp_path / name, report) is None
    assert report.counts == {"broken text": 3}


def test_split_lines_strips_and_drops_empty_ones():
    assert split_lines("  one \r\n\r\n\ttwo\n \nthree") == ("one", "two", "three")
    assert split_lines(" \r\n") == ()


def test_split_paragraphs_joins_lines_between_blank_ones():
    assert split_paragraphs("\none\ntwo  three\n \t\n\r\nfour\n\n") == ("one two three", "four")
    assert split_paragraphs(" \n\n ") == ()
