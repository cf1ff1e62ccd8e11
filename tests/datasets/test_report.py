import json

from cmr_hub.datasets.report import ReadReport


def test_empty_report_is_falsy_and_says_so():
    report = ReadReport()
    assert len(report) == 0
    assert list(report) == []
    assert report.summary() == "no problems"


def test_summary_counts_every_kind_and_shows_the_first_few():
    report = ReadReport()
    for number in range(5):
        report.add("missing text", f"{number}.txt")
    report.add("broken image", "a.jpg", "it is truncated")
    summary = report.summary(first=2)
    assert summary.splitlines() == [
        "6 problems",
        "  missing text: 5",
        "    0.txt",
        "    1.txt",
        "    and 3 more",
        "  broken image: 1",
        "    a.jpg (it is truncated)",
    ]


def test_summary_shortens_a_long_detail_but_the_report_keeps_it():
    report = ReadReport()
    report.add("damaged record", "a", "x" * 5000)
    assert len(report.summary()) < 200
    assert next(iter(report)).detail == "x" * 5000


def test_as_dict_is_json_and_complete():
    report = ReadReport()
    report.add("unexpected file", "x", "y")
    assert json.loads(json.dumps(report.as_dict())) == {
        "counts": {"unexpected file": 1},
        "problems": [{"kind": "unexpected file", "path": "x", "detail": "y"}],
    }


def test_one_report_takes_what_another_has():
    first, second = ReadReport(), ReadReport()
    for path in "ab":
        first.add_once("changed column", path, "x")
        first.add("missing text", path)
    second.take(first, without=["missing text"])
    assert [(problem.kind, problem.path) for problem in second] == [("changed column", "a")]
