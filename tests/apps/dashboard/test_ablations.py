from __future__ import annotations

from pathlib import Path

import pytest
from run_records import groups_of

from cmr_hub.experiments.plan import RUNS
from cmr_hub.experiments.run_groups import grouped
from cmr_hub.experiments.run_index import run_index
from cmr_hub.experiments.run_record import RunRecord

from .conftest import record, write_runs
from .shown import figure, frames, words


def test_filters_and_their_addresses(visit_page, study: Path) -> None:
    app = visit_page("ablations", study, metric="R@5", direction="text→image", texts=["glove"])
    assert not app.exception
    assert app.selectbox(key="metric").value == "R@5"
    assert "Runs: 5. Configurations: 1." in words(app)
    assert figure(app)["data"][0]["x"] == [pytest.approx(0.6)]
    app.multiselect(key="terms").select("triplet").run()
    assert "Runs: 5." in words(app)
    app.multiselect(key="dataset").set_value([]).run()
    assert not app.exception


@pytest.mark.parametrize("view", ["heat", "table", "curves", "classes", "differences", "bars"])
@pytest.mark.parametrize("metric", ["MAP@all", "P@10"])
def test_views(view: str, metric: str, visit_page, study: Path) -> None:
    app = visit_page("ablations", study)
    app.selectbox(key="metric").select(metric).run()
    app.selectbox(key="view").select(view).run()
    assert not app.exception
    assert app.dataframe or app.get("plotly_chart")


def test_a_table_shows_its_metric_first(visit_page, study: Path) -> None:
    app = visit_page("ablations", study)
    app.selectbox(key="view").select("table").run()
    header, *rows = frames(app)[0]
    assert header[:4] == ["configuration", "MAP@all average", "std", "seeds"]
    groups = {group.factors["texts"]: group for group in grouped(run_index(study / RUNS))}
    for row in rows:
        assert float(row[1]) == groups[row[0]].mean("MAP@all", "average")


def test_lines_are_told_apart_by_what_differs_in_them(visit_page, tmp_path: Path) -> None:
    others = [record("LDA", 0, preset=name) for name in ("mmd", "coral")]
    write_runs(tmp_path, [record("TF-IDF", 0), *others])
    app = visit_page("ablations", tmp_path, view="Precision and recall")
    keys = [group.key for group in groups_of(map(RunRecord.parse, others))]
    app.multiselect(key="lines").set_value(keys).run()
    assert {line["name"] for line in figure(app)["data"]} == {"mmd", "coral"}


def test_a_figure_that_no_run_has(visit_page, tmp_path: Path) -> None:
    bare = record("LDA", 0)
    del bare["recall_i2t"]
    write_runs(tmp_path, [bare])
    app = visit_page("ablations", tmp_path)
    app.selectbox(key="metric").select("R@1").run()
    assert not app.exception
    assert "No selected run has R@1" in app.info[0].value


def test_downloads(visit_page, study: Path) -> None:
    app = visit_page("ablations", study)
    app.selectbox(key="view").select("table").run()
    labels = [button.proto.label for button in app.get("download_button")]
    assert labels == ["CSV", "LaTeX"]
    app.selectbox(key="view").select("bars").run()
    assert "HTML, self-contained" in [b.proto.label for b in app.get("download_button")]
