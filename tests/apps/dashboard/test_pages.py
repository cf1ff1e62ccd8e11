from __future__ import annotations

import json
import re
import shutil
import time
from itertools import chain
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cmr_hub import load
from cmr_hub.apps.dashboard.navigation import PAGES
from cmr_hub.apps.dashboard.sources import Sources, run_store, space_sources
from cmr_hub.cli.dashboard import SCRIPT
from cmr_hub.experiments import results, run_index
from cmr_hub.experiments.report import number, write_report
from cmr_hub.experiments.results import append_run
from cmr_hub.experiments.space import answers, ranking
from cmr_hub.experiments.stored_space import read_stored_space, stored_spaces
from cmr_hub.releases import RELEASES, release_directory
from cmr_hub.training.checkpoint import Progress, write_checkpoint

from .conftest import ROWS, SEEDS, record, write_runs, write_study
from .shown import figure, frames, key_of, numbers, plain, words

EVIL = "<img src=x onerror=alert(1)> [a](javascript:alert(1)) **b** :red[c] $x$"


# ---- every page in every state


@pytest.mark.parametrize("name", PAGES)
def test_no_results(name: str, visit_page, tmp_path: Path) -> None:
    app = visit_page(name, tmp_path / "absent")
    assert not app.exception
    assert not app.error
    assert app.title


def test_streamlit_serves_no_page_by_itself(visit_page, tmp_path: Path) -> None:
    """Not even to the first visitor, whose page would have neither style nor navigation."""
    assert not (SCRIPT.parent / "pages").exists()
    app = visit_page("explorer", tmp_path / "absent")
    assert any(".cmr-card {" in part.proto.body for part in app.get("html"))


def test_what_to_do_without_results(visit_page, tmp_path: Path) -> None:
    for name in ("overview", "ablations"):
        app = visit_page(name, tmp_path / "absent")
        assert "No runs are stored" in app.info[0].value
        assert "cmr ablate" in app.code[0].value


@pytest.mark.parametrize("name", PAGES)
def test_one_run(name: str, visit_page, tmp_path: Path) -> None:
    write_runs(tmp_path, [record("TF-IDF", 0)])
    app = visit_page(name, tmp_path)
    assert not app.exception
    assert not app.error


@pytest.mark.parametrize("name", PAGES)
def test_thousands_of_runs(name: str, visit_page, tmp_path: Path) -> None:
    settings = [{"objective": {"label": {}}, "variant": n} for n in range(600)]
    write_runs(
        tmp_path,
        [
            record("LDA", seed, settings=one, cell=f"{seed}{n:063x}")
            for n, one in enumerate(settings)
            for seed in SEEDS
        ],
    )
    app = visit_page(name, tmp_path)
    assert not app.exception
    if name == "ablations":
        assert "The best 20 of 600" in words(app)
        assert len(figure(app)["data"][0]["customdata"]) == 20


@pytest.mark.parametrize("name", ["overview", "ablations", "training", "explorer"])
def test_a_damaged_line_is_left_out_and_told(name: str, visit_page, tmp_path: Path) -> None:
    write_study(tmp_path)
    whole = (tmp_path / "runs.jsonl").read_text()
    (tmp_path / "runs.jsonl").write_text(whole + '{"dataset": "pets", "prot\n')
    app = visit_page(name, tmp_path)
    assert not app.exception
    assert "1 damaged entry of runs" in app.warning[0].value
    assert any("line 16 is left out: not a complete JSON line" in text.value for text in app.text)


def test_damaged_files_beside_the_runs(visit_page, tmp_path: Path) -> None:
    write_study(tmp_path)
    for path in (tmp_path / "embeddings").iterdir():
        path.write_bytes(b"half")
    app = visit_page("space", tmp_path)
    assert not app.exception
    assert "2 damaged entries of the stored embeddings" in app.warning[0].value
    for path in (tmp_path / "curves").iterdir():
        path.write_text("{")
    app = visit_page("training", tmp_path)
    app.multiselect(key="run").set_value([key_of(tmp_path, "glove")]).run()
    assert not app.exception
    assert "is not a training curve" in words(app)
    next((tmp_path / "grids").iterdir()).write_text("{")
    app = visit_page("overview", tmp_path)
    assert not app.exception
    assert "is not the plan of a grid" in app.error[0].value.replace("\\", "")


@pytest.mark.parametrize("name", PAGES)
def test_names_are_never_markup(name: str, visit_page, tmp_path: Path) -> None:
    hostile = {"preset": EVIL, "dataset": EVIL, "protocol": EVIL, "finished": EVIL}
    write_runs(tmp_path, [record("LDA", 0, **hostile)], EVIL)
    app = visit_page(name, tmp_path)
    assert not app.exception
    for kind in ("markdown", "caption", "info", "warning", "error", "header", "subheader"):
        for part in app.get(kind):
            assert "<img" not in part.value
            assert "](javascript" not in part.value
    assert "<img" not in "".join(chart.proto.spec for chart in app.get("plotly_chart"))


# ---- figures are those of `cmr report`


def report_cells(results: Path) -> list[list[str]]:
    lines = [
        line for line in (results / "report.md").read_text().splitlines() if line.startswith("| ")
    ]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [[cell.strip("*_") for cell in row] for row in rows if row[0] != "---"]


def test_the_tables_are_those_of_the_report(visit_page, tmp_path: Path) -> None:
    write_study(tmp_path)
    write_report(tmp_path)
    app = visit_page("overview", tmp_path)
    printed = report_cells(tmp_path)
    shown = next(table for table in frames(app) if table[0][0] == "row")
    header = ["row", *printed[0][1:]]
    for name in set(header) - set(shown[0]):
        # The same in every row that was run here: it stands above the table.
        (value,) = {row[header.index(name)] for row in printed[1:]} - {""}
        assert f"{'seeds' if name == 'n' else name}: {value}" in plain(words(app))
    order = [header.index(name) for name in shown[0]]
    assert shown[1:] == [[row[place] for place in order] for row in printed[1:]]
    assert len(shown) == 1 + len(ROWS) + 1
    report = (tmp_path / "report.md").read_text().replace("**", "")
    best = frames(app)[0][1]
    assert f"{best[1]}, {best[2]} (n = {best[3]})" in report
    assert all(name in report for name in best[4].split(", ") if not best[4].startswith("none"))
    app.session_state["findings-text-features"] = True
    said = plain(words(app.run()))
    for line in report.splitlines():
        if line.startswith(("- GloVe", "- LDA", "- Order found")):
            assert line in said
    assert "The report is up to date." in words(app)


def test_bars_and_differences_are_those_of_the_report(visit_page, tmp_path: Path) -> None:
    write_study(tmp_path)
    write_report(tmp_path)
    printed = {row[0]: row for row in report_cells(tmp_path)}
    app = visit_page("ablations", tmp_path)
    bar = figure(app)["data"][0]
    by_texts = {
        text.split("<br>")[0]: value for text, value in zip(bar["text"], bar["x"], strict=True)
    }
    for label, texts in ROWS.items():
        average = printed[label][8]
        assert average.startswith(number(by_texts[texts]))
    app.selectbox(key="view").select("differences").run()
    app.selectbox(key="reference").select(key_of(tmp_path, "bow")).run()
    said = {row[0]: row[-1] for row in frames(app)[0][1:]}
    report = (tmp_path / "report.md").read_text()
    assert f"- GloVe: {said['glove']}" in report
    assert f"- LDA: {said['lda']}" in report


def test_the_published_figures_stand_beside_ours(visit_page, study: Path) -> None:
    app = visit_page("overview", study)
    order = next(table[0] for table in frames(app) if table[0][0] == "row")
    place = next(n for n, name in enumerate(order) if name.startswith("published"))
    assert order[place - 1 : place + 2 : 2] == ["average", "R@1 i→t / t→i"]


def test_new_runs_are_told(visit_page, tmp_path: Path) -> None:
    write_study(tmp_path)
    write_report(tmp_path)
    lines = (tmp_path / "runs.jsonl").read_text().splitlines()
    (tmp_path / "runs.jsonl").write_text("\n".join(lines[:-2]) + "\n")
    app = visit_page("overview", tmp_path)
    changed = next(table for table in frames(app) if "seeds before" in table[0])
    assert [row[1:4] for row in changed[1:]] == [["LDA", "5", "3"]]


# ---- training


def test_curves_of_stored_runs(visit_page, study: Path) -> None:
    app = visit_page("training", study)
    app.multiselect(key="run").set_value([]).run()
    assert "Nothing to draw" in app.info[0].value
    app.multiselect(key="run").set_value([key_of(study, "glove")]).run()
    titles = [part.value for part in app.markdown if part.value.startswith("**")]
    assert titles[:2] == ["**loss**", r"**score, validation**"]
    assert {"**λ of the gradient reversal**", "**learning rate**"} <= set(titles)
    (line,) = figure(app)["data"]
    assert line["y"] == pytest.approx([3.0, 1.5, 1.0])
    app.toggle(key="final").set_value(True).run()
    assert len(figure(app)["data"]) == 2
    app.slider(key="smoothing").set_value(0.5).run()
    assert len(figure(app)["data"]) == 4
    app.selectbox(key="seeds").select("all").run()
    assert not app.exception
    assert len(figure(app)["data"]) == 20


def test_a_training_that_goes_on_is_followed(visit_page, study: Path, tmp_path: Path) -> None:
    checkpoints = tmp_path / "models" / "pets.checkpoints"

    def trained(epochs: int) -> None:
        history = [
            {"phase": "select", "epoch": epoch, "loss": 1 / epoch} for epoch in range(1, epochs + 1)
        ]
        checkpoints.mkdir(parents=True, exist_ok=True)
        progress = Progress(epoch=epochs, history=history)
        write_checkpoint(checkpoints / "select.safetensors", "key", progress, {})

    trained(2)
    app = visit_page("training", study, "--model", str(tmp_path / "models"))
    assert "Training now" in app.info[0].value
    assert figure(app)["data"][0]["y"] == [1.0, 0.5]
    trained(4)
    app.run()
    assert figure(app)["data"][0]["y"] == [1.0, 0.5, pytest.approx(1 / 3), 0.25]


def test_a_pasted_log_is_overlaid(visit_page, study: Path) -> None:
    app = visit_page("training", study)
    app.multiselect(key="run").set_value([]).run()
    line = "Epoch: [1][0/33] emb_loss: 9.5, domain_loss: 1.8, Label_loss: 4.9, triplet_loss: 2.5"
    app.text_area(key="log-text").set_value(f"{line}\nEpoch: [2] emb_loss: half").run()
    assert not app.exception
    assert figure(app)["data"][0]["y"] == [9.5]
    assert "line 2 is left out" in words(app).replace("\\", "")


# ---- spaces


def until_drawn(app: AppTest, seconds: float = 120) -> AppTest:
    end = time.monotonic() + seconds
    while not app.get("plotly_chart"):
        assert not app.exception
        assert not app.error, app.error[0].value
        assert time.monotonic() < end
        time.sleep(0.2)
        app.run()
    return app


def test_epochs_before_and_after(visit_page, study: Path, sketches: Path) -> None:
    app = visit_page("space", study, "--model", str(sketches))
    app.selectbox(key="space").select(f"model:{sketches}").run()
    slider = app.select_slider(key="epoch")
    assert slider.options == ["before training", "epoch 2", "epoch 9, trained model"]
    after = [metric.value for metric in app.metric]
    drawn = figure(app)
    slider.set_value(0).run()
    assert not app.exception
    before = [metric.value for metric in app.metric]
    assert float(before[1]) < 0.1 < float(after[1])  # the silhouette
    assert float(before[2]) < 0.2 < float(after[2])  # MAP
    now = figure(app)
    assert now["data"][0]["x"] != drawn["data"][0]["x"]
    assert now["layout"]["xaxis"]["range"] == drawn["layout"]["xaxis"]["range"]


def test_maps_are_computed_aside(visit_page, study: Path) -> None:
    app = visit_page("space", study)
    spaces = app.selectbox(key="space")
    spaces.select(next(name for name in spaces.options if not name.startswith("model "))).run()
    app.button_group(key="method").set_value("tsne").run()
    assert not app.exception
    assert until_drawn(app)
    places = [place for trace in figure(app)["data"] for place in numbers(trace["customdata"])]
    assert sorted(places) == list(range(60))
    app.toggle(key="pairs").set_value(True).run()
    app.button_group(key="dimensions").set_value(3).run()
    assert until_drawn(app)
    assert {trace["type"] for trace in figure(app)["data"]} == {"scatter3d"}


@pytest.mark.parametrize("colour", ["class", "modality", "pair loss", "first hit", "cluster"])
def test_colours(colour: str, visit_page, study: Path) -> None:
    app = visit_page("space", study)
    app.button_group(key="colour").set_value(colour).run()
    assert not app.exception
    assert app.get("plotly_chart")


def test_the_figures_of_a_stored_space(visit_page, study: Path) -> None:
    stored = stored_spaces(study)[0][0]
    app = visit_page("explorer", study)
    app.selectbox(key="space").select(f"run:{stored.path.stem}").run()
    assert not app.exception
    space = read_stored_space(stored)
    found = answers(space, "i2t")
    worst = int(found.worst_first()[0])
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["AP of the query"] == number(ranking(space, "i2t", worst).ap or 0)
    assert shown["MAP@all, image→text"] == number(found.map)
    assert shown["Relevant"] == "10 of 30"
    cards = next(part.proto.body for part in app.get("html") if 'cmr-miss"' in part.proto.body)
    hits = ranking(space, "i2t", worst).hits[:12]
    assert re.findall(r"✓ hit|✗ miss", cards) == ["✓ hit" if hit else "✗ miss" for hit in hits]


def test_two_runs_side_by_side(visit_page, study: Path) -> None:
    one, other = (stored.path.stem for stored in stored_spaces(study)[0])
    app = visit_page("explorer", study)
    app.selectbox(key="space").select(f"run:{one}").run()
    app.selectbox(key="other").select(f"run:{other}").run()
    app.selectbox(key="order").select("best").run()
    app.selectbox(key="way").select("t2i").run()
    assert not app.exception
    assert len(app.metric) == 6
    charts = app.get("plotly_chart")
    assert [json.loads(chart.proto.spec)["data"][0]["type"] for chart in charts] == ["heatmap"] * 2
    app.selectbox(key="other").select("model:sketch").run()
    assert "This query is not in the test set of this run" in words(app)


def test_searching_a_gallery(visit_page, study: Path) -> None:
    asked = "two red buses on a street at night"
    app = visit_page("gallery", study, gallery="sketch", q=asked)
    assert not app.exception
    assert app.text_input(key="q").value
    assert list(figure(app)["data"][-1]["text"]) == [str(n) for n in range(1, 11)]
    app.text_input(key="q").set_value("wug blick").run()
    assert "No word" in app.warning[0].value or "no word" in app.warning[0].value


def test_a_gallery_coloured_by_zero_shot_labels(visit_page, study: Path, tmp_path: Path) -> None:
    directory = tmp_path / "models" / "named"
    shutil.copytree(release_directory("sketch"), directory)
    opened = load(directory).gallery
    plain = visit_page("gallery", study, "--model", str(directory), gallery=str(directory))
    assert not [box for box in plain.selectbox if box.key == "column"]
    legend = {trace["name"] for trace in figure(plain)["data"]}
    assert {"dog", "bus"} <= legend

    counts = opened.label(["a dog", "a bus"])
    opened.label(["day", "night"], column="time")
    app = visit_page("gallery", study, "--model", str(directory), gallery=str(directory))
    assert app.selectbox(key="column").options == ["label", "zero_shot", "time"]
    assert {trace["name"] for trace in figure(app)["data"]} == legend
    before = [numbers(trace["x"]) for trace in figure(app)["data"]]
    app.selectbox(key="column").select("zero_shot").run()
    assert not app.exception
    traces = figure(app)["data"]
    images = {trace["name"]: len(numbers(trace["x"])) for trace in traces if trace["showlegend"]}
    assert images == {name: count for name, count in counts.items() if count}
    after = [numbers(trace["x"]) for trace in traces]
    assert sorted(chain(*after)) == sorted(chain(*before))  # the points are where they were
    app = visit_page(
        "gallery", study, "--model", str(directory), gallery=str(directory), column="time"
    )
    assert {trace["name"] for trace in figure(app)["data"]} <= {"day", "night", "no class"}


def test_settings_are_the_same_in_the_package_and_beside_it() -> None:
    inside = SCRIPT.parent / ".streamlit" / "config.toml"
    beside = Path(__file__).parents[3] / ".streamlit" / "config.toml"
    assert inside.read_bytes() == beside.read_bytes()
    assert "gatherUsageStats = false" in beside.read_text()


def test_a_large_store_that_grows(
    visit_page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "CHUNK", 2**18)
    monkeypatch.setattr(run_index, "CHUNK", 2**18)
    runs = [record(label, seed, finished=None) for seed in range(700) for label in ROWS]
    write_runs(tmp_path, runs, "{broken")
    for count in (2_100, 2_101):
        app = visit_page("overview", tmp_path)
        assert not app.exception
        facts = {metric.label: metric.value for metric in app.metric}
        assert (facts["Runs"], facts["Configurations"]) == (f"{count:,}", "3")
        assert facts["Hours of training"] == f"{count * 1.5 / 3600:.1f}"
        assert "line 2101 is left out" in words(app)
        append_run(record("LDA", 700, finished=None), tmp_path / "runs.jsonl")


def test_a_given_model_comes_before_the_included_ones(visit_page, study: Path, tmp_path) -> None:
    """Runs of `cmr train` beside it are shown with those of the results."""
    own = tmp_path / "mine" / "model"
    shutil.copytree(release_directory("sketch"), own)
    shutil.copy(study / "runs.jsonl", tmp_path / "mine")
    home = Sources(study, (tmp_path / "mine",))
    assert next(iter(space_sources(home)[0])) == f"model:{own}"
    assert list(home.model_directories()) == [str(own), *RELEASES]
    assert len(run_store(home).index) == 2 * len(run_store(Sources(study, ())).index)
