"""`cmr models`, as its console script runs it."""

import json
import sys

import pytest
from rich.console import Console

from cmr_hub import cli, list_models
from cmr_hub.cli.models import size_text


@pytest.fixture
def cmr(capsys, monkeypatch):
    """`cmr models ARGUMENTS` → exit code, standard output, standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["cmr", "models", *map(str, arguments)])
        wide = Console(width=250, markup=False, emoji=False)
        monkeypatch.setattr(sys.modules["cmr_hub.cli.models"], "console", wide)
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return end.value.code, captured.out, captured.err

    return run


def cells(line):
    return [cell.strip() for cell in line.strip("│┃").split("│")]


def test_the_list(cmr):
    code, out, _ = cmr()
    assert code == 0
    rows = {cells(line)[0]: cells(line) for line in out.splitlines() if line.startswith("│")}
    assert list(rows) == [entry.name for entry in list_models()]
    assert rows["siglip2"][2:] == ["1.54 GB", "768", "109", "Apache-2.0", "0.521"]
    assert "Apple" in rows["mobileclip"][5]
    assert rows["mobileclip"][4] == "not stated"
    assert "Recall@1 from text to image" in out


def test_the_list_as_json(cmr):
    code, out, _ = cmr("--json")
    assert code == 0
    records = json.loads(out)
    assert [record["name"] for record in records] == [entry.name for entry in list_models()]
    by_name = {record["name"]: record for record in records}
    assert by_name["siglip2"]["download"]["value"] == 1_539_458_338
    assert by_name["mobileclip"]["languages"] is None
    assert by_name["clip"]["figures"][0]["source"].startswith("https://")


def test_all_of_one(cmr):
    code, out, _ = cmr("siglip2")
    assert code == 0
    entry = next(entry for entry in list_models() if entry.name == "siglip2")
    lines = [line.strip() for line in out.splitlines()]
    assert f"repository: {entry.repository}, sentence-transformers" in lines
    assert "download: 1.54 GB" in lines
    assert entry.listed in lines
    for figure in entry.figures:
        said = f"{figure.dataset}, {figure.direction}, recall@1: {figure.value:.3f}"
        at = lines.index(f"{said} ({figure.protocol})")
        assert lines[at + 1] == figure.source
    code, out, _ = cmr("siglip2", "clip", "--json")
    assert [record["name"] for record in json.loads(out)] == ["siglip2", "clip"]


def test_a_wrong_name_suggests_the_nearest(cmr):
    code, out, err = cmr("siglp2")
    assert code == 2
    assert out == ""
    assert "'siglp2'; did you mean siglip2" in err
    code, _, err = cmr("zebra")
    assert code == 2
    assert "choose one of: clip, clip-laion" in err


def test_measuring(cmr, saved_model):
    code, out, err = cmr("--measure", saved_model, "--batch", 4, "--turns", 2, "--threads", 1)
    assert code == 0, err
    assert "one of 4 pictures" in out
    assert "Median of 2 rounds on 1 thread;" in out
    (row,) = [cells(line) for line in out.splitlines() if line.count(".") >= 4]
    assert all(float(value) > 0 for value in row[1:])


def test_measuring_as_json(cmr, saved_model):
    code, out, err = cmr(
        *("--measure", saved_model, "sketch"), *("--batch", 2, "--turns", 1), "--json"
    )
    assert code == 0, err
    first, second = json.loads(out)
    assert (first["model"], second["model"]) == (str(saved_model), "sketch")
    for record in (first, second):
        assert (record["batch"], record["turns"]) == (2, 1)
        assert record["threads"] >= 1
        assert min(record[key] for key in record if key.startswith(("picture", "sentence"))) > 0


def test_measuring_wants_to_know_which(cmr):
    code, _, err = cmr("--measure")
    assert code == 2
    assert "name the models to measure" in err


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (403_000_000, "403 MB"),
        (999_000_000, "999 MB"),
        (1_539_458_338, "1.54 GB"),
        (4_580_000_000, "4.58 GB"),
    ],
)
def test_sizes(count, text):
    assert size_text(count) == text
