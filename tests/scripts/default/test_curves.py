"""Quality against training time."""

import csv
import json

import pytest
from PIL import Image

from cmr_hub.errors import DataFormatError
from scripts.default.curves import keep_record, quality_curve, write_quality_curves


@pytest.fixture
def folders(tmp_path):
    def history(name, rows):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder

    distilled = history("distilled", [{"epoch": 1, "seconds": 90.0}, {"epoch": 2, "seconds": 30.0}])
    figures = {"sketches": {"recall@1": 0.25, "recall@10": 0.5, "map": 0.75}}
    rows = [
        {"epoch": 1, "seconds": 60.0},
        {"epoch": 2, "seconds": 60.0, "held_out": figures},
        {"epoch": 3, "seconds": 60.0, "held_out": {"plain": {"recall@10": 0.125}}},
    ]
    return distilled, history("aligned", rows)


def test_time_adds_up(folders):
    distilled, aligned = folders
    rows = quality_curve(distilled, aligned)
    assert [(row["epoch"], row["minutes"], row["dataset"], row["value"]) for row in rows] == [
        (2, 4.0, "sketches", 0.25),
        (2, 4.0, "sketches", 0.5),
        (2, 4.0, "sketches", 0.75),
        (3, 5.0, "plain", 0.125),
    ]
    assert [row["minutes"] for row in quality_curve(None, aligned)] == [2.0, 2.0, 2.0, 3.0]


def test_files(folders, tmp_path):
    curves = {"distilled first": quality_curve(*folders), "not": quality_curve(None, folders[1])}
    table, picture = tmp_path / "out" / "curve.csv", tmp_path / "out" / "curve.png"
    write_quality_curves(curves, table, picture)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert rows[0] == {
        "training": "distilled first",
        "epoch": "2",
        "minutes": "4.0",
        "dataset": "sketches",
        "figure": "recall@1",
        "value": "0.25",
    }
    with Image.open(picture) as image:
        assert image.width > 600
    first = picture.read_bytes()
    write_quality_curves(curves, table, picture)
    assert picture.read_bytes() == first


@pytest.mark.parametrize("content", [None, "", "[1]\n", "{]\n", '{"epoch": 1}\n'])
def test_no_history(tmp_path, content):
    if content is not None:
        (tmp_path / "history.jsonl").write_text(content)
    with pytest.raises(DataFormatError, match=r"history\.jsonl"):
        quality_curve(None, tmp_path)


def test_the_record_is_kept(folders, tmp_path):
    _, aligned = folders
    with pytest.raises(DataFormatError, match=r"none of distillation\.json, alignment\.json"):
        keep_record(aligned, tmp_path / "kept")
    (aligned / "alignment.json").write_text("{}")
    (aligned / "encoder.safetensors").write_bytes(b"weights")
    keep_record(aligned, tmp_path / "kept")
    kept = {path.name: path.read_bytes() for path in (tmp_path / "kept").iterdir()}
    assert kept == {
        "alignment.json": b"{}",
        "history.jsonl": (aligned / "history.jsonl").read_bytes(),
    }
    with pytest.raises(DataFormatError, match=r"history\.jsonl"):
        keep_record(tmp_path, tmp_path / "kept")
