"""A folder of results from a stranger: bad records are told of and left out, and the pages open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cmr_hub.apps.dashboard.navigation import PAGES
from cmr_hub.experiments.results import read_runs
from cmr_hub.experiments.run_record import RunRecord

from .conftest import cell, record, write_runs
from .shown import words

ODD: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**62, 1e300, "", "²", "9" * 5000, "\x1b[8m", "x" * 3000),
    *([], [None], ["²"], {}, {"": None}, {"²": 1}, {"²": {}}, {"x": []}, {"blocks": "x"}),
    *({"objective": None}, {"objective": [1]}, {"name": None}, {"9" * 5000: 0.5}),
)


def odd_records() -> list[dict[str, Any]]:
    """A record for each key and each odd value there."""
    whole = record("TF-IDF", 0) | {
        "fine_tuned": None,
        "text_fine_tuned": None,
        "text_options": None,
        "trained_on": None,
        "pairs": {},
        "split": "test",
        "zero_shot": None,
        "image_weights": None,
        "validation_map": 0.5,
        "recall_avg": 0.5,
        "test_texts_without_known_word": 3,
    }
    found = []
    for key in whole:
        for value in ODD:
            number = len(found) + 10
            own = whole | {"cell": cell("odd", number), "seed": number, key: value}
            found.append(own)
    return found


@pytest.fixture
def odd(study: Path, tmp_path: Path) -> Path:
    """The study with such records after its own."""
    lines = (study / "runs.jsonl").read_text()
    write_runs(tmp_path, odd_records())
    path = tmp_path / "runs.jsonl"
    path.write_text(lines + path.read_text())
    (tmp_path / "grids").mkdir()
    for plan in (study / "grids").iterdir():
        (tmp_path / "grids" / plan.name).write_bytes(plan.read_bytes())
    return tmp_path


def test_settings_that_are_none(visit_page, study: Path, tmp_path: Path) -> None:
    good = json.loads((study / "runs.jsonl").read_text().splitlines()[0])
    write_runs(tmp_path, [good, good | {"settings": None, "seed": 7, "cell": cell("x", 7)}])
    kept, problems = read_runs(tmp_path / "runs.jsonl")
    assert kept == [RunRecord.parse(good)]
    assert "line 2 is left out: settings: Input should be a valid dictionary" in problems[0]
    for name in PAGES:
        app = visit_page(name, tmp_path)
        assert not app.exception, name
    assert "1 damaged entry of" in words(visit_page("ablations", tmp_path))


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens(name: str, visit_page, odd: Path) -> None:
    app = visit_page(name, odd)
    assert not app.exception, app.exception[0].message + "".join(app.exception[0].stack_trace)
    assert not app.error
    if name in ("overview", "ablations", "training"):
        assert "damaged entries of" in words(app)


def test_the_report_is_written(odd: Path) -> None:
    from cmr_hub.experiments.report import write_report

    assert write_report(odd).is_file()
