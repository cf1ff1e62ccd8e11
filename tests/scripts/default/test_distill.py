"""`python -m scripts.default distill`, in this process."""

import json
import shutil
import sys

import numpy as np
import pytest

from cmr_hub import cli
from cmr_hub.encoders.images import image_encoder
from scripts.default import epochs, views
from scripts.default.__main__ import app


@pytest.fixture
def distil(colour_folder, mobilenet_file, tmp_path, monkeypatch, capsys):
    """Runs the command on the small folder of pictures; gives its exit code and output."""
    shutil.copytree(colour_folder, tmp_path / "data" / "folder")
    monkeypatch.setenv("CMR_DATA_HOME", str(tmp_path / "data"))
    # Smaller than anyone wants, so that the test takes a second.
    monkeypatch.setattr(views.ViewSettings.__init__, "__defaults__", (8, 32, 33, 0))

    def run(*options):
        command = ["scripts.default", "distill", "folder", "--teacher", mobilenet_file, *options]
        command += ["--out", tmp_path / "out", "--cache", tmp_path / "cache", "--views", 2]
        monkeypatch.setattr(sys, "argv", list(map(str, command)))
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main(app)
        found = capsys.readouterr()
        return end.value.code, found.out, found.err

    return run


def test_weights_settings_and_history(distil, tmp_path, colour_folder):
    code, out, _ = distil("--epochs", 2, "--seed", 3)
    assert code == 0
    assert out.startswith("2 epochs in ")
    folder = tmp_path / "out"
    facts = json.loads((folder / "distillation.json").read_text())
    assert facts["datasets"] == {"folder": "folders"}
    assert facts["pictures"] == 24
    assert facts["held_out"] == 6
    assert facts["seed"] == 3
    assert facts["training"]["epochs"] == 2
    assert facts["views"]["views"] == 2
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert "held_out_probe" in rows[-1]
    encoder = image_encoder("compact", folder / "encoder.safetensors")
    features = encoder.encode(sorted((colour_folder / "test").glob("*.png")))
    assert features.shape == (12, encoder.dim)
    assert np.isfinite(features).all()
    size = (folder / "encoder.safetensors").stat().st_size
    assert size < 3e6
    assert (folder / "encoder.safetensors").stat().st_mode & 0o077 == (
        folder / "history.jsonl"
    ).stat().st_mode & 0o077


def test_a_stopped_run_goes_on(distil, tmp_path, monkeypatch):
    monkeypatch.setattr(epochs, "_CHECKPOINT_SECONDS", 0.0)
    write = epochs.write_checkpoint

    def write_and_stop(*arguments):
        write(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(epochs, "write_checkpoint", write_and_stop)
        code, _, err = distil("--epochs", 2)
    assert code == 130
    assert "finished work is kept" in err
    assert not (tmp_path / "out" / "encoder.safetensors").exists()
    assert distil("--epochs", 2)[0] == 0
    rows = (tmp_path / "out" / "history.jsonl").read_text().splitlines()
    assert len(rows) == 2


def test_other_settings_do_not_go_on(distil):
    assert distil("--epochs", 1)[0] == 0
    code, _, err = distil("--epochs", 2)
    assert code == 2
    assert "choose another output directory" in " ".join(err.split())


@pytest.mark.parametrize(
    ("option", "message"),
    [("--teacher", "no weights file"), ("wikipedia-features", "wikipedia")],
)
def test_what_is_not_there(distil, tmp_path, option, message):
    options = (option, tmp_path / "absent") if option == "--teacher" else (option,)
    code, _, err = distil(*options)
    assert code == 2
    assert "Traceback" not in err
    assert message in " ".join(err.split())
