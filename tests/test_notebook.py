"""What a notebook shows of models and reports."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from cmr_hub.datasets.report import ReadReport
from cmr_hub.metrics.report import evaluate_retrieval
from cmr_hub.notebook import html_table


def cells(page: str) -> list[list[str]]:
    return [[cell.text or "" for cell in row] for row in ElementTree.fromstring(page).iter("tr")]


def test_texts_are_escaped() -> None:
    page = html_table([("<script>", "&")], ("a", '"'), "<b>")
    assert cells(page) == [["a", '"'], ["<script>", "&"]]
    assert "<script>" not in page


def test_a_model(model) -> None:
    facts = dict(cells(model._repr_html_()))
    assert facts["classes"] == "flame, grass, sea"
    assert (facts["trained on"], facts["gallery"]) == ("folder", "12 items")


def test_a_retrieval_report() -> None:
    vectors = np.random.default_rng(0).normal(size=(12, 4))
    report = evaluate_retrieval(vectors, vectors, np.arange(12) % 3)
    found = {name: values for name, *values in cells(report._repr_html_())}
    shown = [f"{value:.3f}" for value in (report.map_i2t, report.map_t2i, report.map_avg)]
    assert found["MAP@all"] == shown
    assert found["queries"] == ["12", "12", ""]


def test_a_report_of_a_dataset() -> None:
    report = ReadReport()
    for name in ("a", "b"):
        report.add("broken image", name, "why")
    assert cells(report._repr_html_())[1:] == [["broken image", "2", "a"]]
