"""`python -m scripts.default align`, in this process."""

import json
import shutil
import sys

import numpy as np
import pytest
from safetensors.torch import save_file

from cmr_hub import cli
from cmr_hub.encoders.images import image_encoder
from cmr_hub.encoders.images.compact import CompactEncoder
from cmr_hub.encoders.texts.storage import load_text_encoder
from cmr_hub.encoders.texts.text_cnn import TextCNNEncoder
from cmr_hub.metrics.validation import caption_figures
from scripts.default import epochs, views
from scripts.default.__main__ import app
from scripts.default.alignment import Alignment


@pytest.fixture
def aligned(colour_folder, tmp_path, monkeypatch, capsys):
    """Runs the command on the small folder of pictures; gives its exit code and output."""
    shutil.copytree(colour_folder, tmp_path / "data" / "folder")
    monkeypatch.setenv("CMR_DATA_HOME", str(tmp_path / "data"))
    # Smaller than anyone wants, so that the test takes a second.
    monkeypatch.setattr(views.PixelSettings.__init__, "__defaults__", (2, 32, 0.5, 0))
    defaults = list(Alignment.__init__.__defaults__)
    defaults[1], defaults[5] = 8, ((32, 1.0),)
    monkeypatch.setattr(Alignment.__init__, "__defaults__", tuple(defaults))

    def run(*options):
        command = ["scripts.default", "align", "folder", "--views", 2, *options]
        for option in ("dim=8", "min_count=1", "epochs=2", "filters=8"):
            command += ["--text-option", option]
        command += ["--out", tmp_path / "out", "--cache", tmp_path / "cache"]
        monkeypatch.setattr(sys, "argv", list(map(str, command)))
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main(app)
        found = capsys.readouterr()
        return end.value.code, found.out, found.err

    return run


@pytest.fixture
def fitted(monkeypatch):
    """The documents of each fit of the text encoder."""
    seen = []
    fit = TextCNNEncoder.fit
    monkeypatch.setattr(
        TextCNNEncoder,
        "fit",
        lambda self, documents: seen.append(documents) or fit(self, documents),
    )
    return seen


def test_weights_settings_and_history(aligned, fitted, tmp_path, colour_folder):
    start = tmp_path / "start.safetensors"
    save_file(CompactEncoder.build().state_dict(), start)
    options = ("--epochs", 2, "--seed", 3, "--encoder", start, "--text-option", "window=4")
    code, out, _ = aligned(*options)
    assert code == 0
    assert out.startswith("2 epochs in ")
    folder = tmp_path / "out"
    facts = json.loads((folder / "alignment.json").read_text())
    assert facts["datasets"] == {"folder": "folders"}
    assert facts["pictures"] == 24
    assert facts["held_out"] == 0
    words = load_text_encoder(folder)
    assert facts["text_encoder"] == {"name": "text-cnn", "options": words.options}
    assert words.options["window"] == 4
    assert words.transform([("a red picture",)]).shape == (1, 16)
    assert facts["encoder"] == {"sha256": image_encoder("compact", start).weights_sha256}
    assert facts["training"]["epochs"] == 2
    assert [len(texts) for texts in fitted] == [24]
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    encoder = image_encoder("compact", folder / "encoder.safetensors")
    features = encoder.encode(sorted((colour_folder / "test").glob("*.png")))
    assert features.shape == (12, encoder.dim)
    assert np.isfinite(features).all()
    assert (folder / "encoder.safetensors").stat().st_size < 3e6


def test_held_out_sentences_are_not_read(aligned, fitted, tmp_path):
    metadata = tmp_path / "data" / "folder" / "train" / "metadata.jsonl"
    lines = [json.loads(line) for line in metadata.read_text().splitlines()]
    for line in lines:
        line["label"] = "thing"
    metadata.write_text("\n".join(map(json.dumps, lines)))
    code, out, _ = aligned("--epochs", 1)
    assert code == 0
    facts = json.loads((tmp_path / "out" / "alignment.json").read_text())
    assert facts["encoder"] is None
    assert facts["held_out"] == 1
    assert [len(texts) for texts in fitted] == [23]
    assert "folder recall@1" in out


def test_a_stopped_run_goes_on(aligned, tmp_path, monkeypatch):
    monkeypatch.setattr(epochs, "_CHECKPOINT_SECONDS", 0.0)
    write = epochs.write_checkpoint

    def write_and_stop(*arguments):
        write(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(epochs, "write_checkpoint", write_and_stop)
        code, _, err = aligned("--epochs", 2)
    assert code == 130
    assert "finished work is kept" in err
    assert aligned("--epochs", 2)[0] == 0
    assert len((tmp_path / "out" / "history.jsonl").read_text().splitlines()) == 2
    code, _, err = aligned("--epochs", 1)
    assert code == 2
    assert "choose another output directory" in " ".join(err.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--encoder", "absent.safetensors"), "no weights file"),
        (("wikipedia-features",), "wikipedia"),
        (("--text-option", "window"), "name=value"),
        (("--text-option", "nobody=1"), "nobody"),
    ],
)
def test_what_is_not_there(aligned, options, message):
    code, _, err = aligned(*options)
    assert code == 2
    assert "Traceback" not in err
    assert message in " ".join(err.split())


def test_figures_are_plain_loops():
    generator = np.random.default_rng(0)
    images, sentences = generator.normal(size=(30, 4)), generator.normal(size=(70, 4))
    owners, labels = generator.integers(0, 30, 70), generator.integers(-1, 3, 30)
    found = caption_figures(images, sentences, owners, labels)

    def cosines(query, gallery):
        return gallery @ query / np.linalg.norm(gallery, axis=1) / np.linalg.norm(query)

    for k in (1, 10):
        hits = [
            owner in np.argsort(-cosines(sentence, images))[:k]
            for sentence, owner in zip(sentences, owners, strict=True)
        ]
        assert found[f"recall@{k}"] == pytest.approx(np.mean(hits))

    def ap(query, label, gallery, gallery_labels):
        right = gallery_labels[np.argsort(-cosines(query, gallery))] == label
        places = np.flatnonzero(right) + 1
        return np.mean(np.arange(1, len(places) + 1) / places)

    told = labels[owners]
    known, said = labels >= 0, told >= 0
    there = [ap(images[i], labels[i], sentences[said], told[said]) for i in np.flatnonzero(known)]
    back = [ap(sentences[i], told[i], images[known], labels[known]) for i in np.flatnonzero(said)]
    assert found["map"] == pytest.approx((np.mean(there) + np.mean(back)) / 2)
    assert "map" not in caption_figures(images, sentences, owners, np.full(30, -1))
