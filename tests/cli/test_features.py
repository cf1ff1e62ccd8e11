"""`cmr train features` and `cmr evaluate`, as the console script runs them."""

import json

import numpy as np
import pytest
import pytrec_eval


def test_features_from_a_file(cmr, tmp_path):
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (60, 4))
    labels[:, 0] |= ~labels.any(axis=1)
    features = labels @ random.normal(size=(4, 6)) + 0.1 * random.normal(size=(60, 6))
    split = np.array(["train"] * 40 + ["val"] * 10 + ["test"] * 10)
    np.savez(tmp_path / "mine.npz", images=features, texts=features, labels=labels, split=split)
    arguments = ("--root", tmp_path / "mine.npz")
    options = ("--preset", "supcon", "--epochs", 2, "--results", tmp_path / "runs.jsonl")
    code, out, _ = cmr("train", "features", *arguments, *options, "--out", tmp_path / "model")
    assert code == 0
    assert "nDCG@10 (shared labels)" in out
    code, out, _ = cmr(
        "evaluate", tmp_path / "model", *arguments, "--trec", tmp_path / "trec", "--json"
    )
    assert code == 0
    with (tmp_path / "trec/class-image-to-text.qrels").open() as file:
        judged = pytrec_eval.parse_qrel(file)
    with (tmp_path / "trec/class-image-to-text.run").open() as file:
        run = pytrec_eval.parse_run(file)
    oracle = pytrec_eval.RelevanceEvaluator(judged, {"map"}).evaluate(run)
    found = [figures["map"] for figures in oracle.values()]
    assert np.mean(found) == pytest.approx(json.loads(out)["map_i2t"], abs=1e-6)
