from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytrec_eval

from cmr_hub.experiments.trec import write_trec
from cmr_hub.metrics.report import evaluate_retrieval


@pytest.fixture
def space() -> tuple[Any, Any, Any]:
    random = np.random.default_rng(8)
    images = random.normal(size=(25, 6)).astype(np.float32)
    owner = np.repeat(np.arange(25), random.integers(1, 4, 25))
    texts = (images[owner] + random.normal(size=(len(owner), 6))).astype(np.float32)
    return images, texts, owner


def measured(folder: Path, name: str, *measures: str) -> dict[str, float]:
    """The means of trec_eval over the queries that have an answer."""
    with (folder / f"{name}.qrels").open() as file:
        judged = pytrec_eval.parse_qrel(file)
    with (folder / f"{name}.run").open() as file:
        run = pytrec_eval.parse_run(file)
    oracle = pytrec_eval.RelevanceEvaluator(judged, set(measures)).evaluate(run)
    means = {
        key: [figures[key] for figures in oracle.values()] for key in next(iter(oracle.values()))
    }
    return {key: float(np.mean(values)) for key, values in means.items()}


def test_captions_are_judged_by_their_pictures(space: Any, tmp_path: Path) -> None:
    images, texts, owner = space
    ids = [f"a picture/{n}.jpg" for n in range(25)]
    write_trec(tmp_path, "captions", images, texts, ids, text_owner=owner)
    report = evaluate_retrieval(images, texts, None, text_owner=owner)
    for name, direction in (("image-to-text", report.i2t), ("text-to-image", report.t2i)):
        found = measured(tmp_path, f"captions-{name}", "map", "success.1,5,10")
        assert found["map"] == pytest.approx(direction.map, abs=1e-6)
        for k in (1, 5, 10):
            assert found[f"success_{k}"] == pytest.approx(direction.recall[k], abs=1e-6)
    line = (tmp_path / "captions-text-to-image.run").read_text().split("\n")[0].split()
    assert line[0] == "a%20picture/0.jpg#0"
    assert line[1::2] == ["Q0", "1", "cmr-hub"]


@pytest.mark.parametrize("several", [False, True])
def test_labels_are_gains(space: Any, tmp_path: Path, several: bool) -> None:
    images, texts, owner = space
    texts = texts[np.searchsorted(owner, np.arange(25))]
    texts[3:6] = texts[3]  # ties, which trec_eval breaks in another way
    random = np.random.default_rng(9)
    labels = (
        random.integers(0, 2, (25, 5)).astype(np.float32)
        if several
        else random.integers(5, size=25)
    )
    write_trec(tmp_path, "class", images, texts, [f"n{n}" for n in range(25)], labels=labels)
    report = evaluate_retrieval(images, texts, labels)
    for name, direction in (("image-to-text", report.i2t), ("text-to-image", report.t2i)):
        found = measured(tmp_path, f"class-{name}", "map", "ndcg_cut.10")
        assert found["map"] == pytest.approx(direction.map, abs=1e-6)
        if several:
            assert found["ndcg_cut_10"] == pytest.approx(direction.ndcg[10], abs=1e-6)


def test_deep_rankings_are_cut(space: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmr_hub.experiments.trec.DEPTH", 3)
    images, _, _ = space
    write_trec(tmp_path, "pairs", images, images, [f"n{n}" for n in range(25)])
    lines = (tmp_path / "pairs-image-to-text.run").read_text().splitlines()
    assert len(lines) == 75
    assert len((tmp_path / "pairs-image-to-text.qrels").read_text().splitlines()) == 25
