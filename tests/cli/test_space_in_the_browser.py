"""`cmr space onnx` and `cmr space static`."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from cmr_hub.cli import app, main
from cmr_hub.loading import load
from cmr_hub.static_site.export import MANIFEST, Pairs


@pytest.fixture
def few_pairs(monkeypatch) -> None:
    whole = Pairs.included()
    few = replace(whole, pictures=whole.pictures[:20], sentences=whole.sentences[:20])
    monkeypatch.setattr(Pairs, "included", classmethod(lambda cls: few))


def test_onnx_exports_a_model_directory_without_its_path(few_pairs, tmp_path) -> None:
    load("sketch").save_pretrained(tmp_path / "home" / "mine")
    out = tmp_path / "out"
    ran = CliRunner().invoke(
        app, ["space", "onnx", str(tmp_path / "home" / "mine"), "--out", str(out)]
    )
    assert ran.exit_code == 0, ran.output
    assert "On 20 pictures with sentences, the minimum cosine with torch is 1.0" in ran.output
    assert json.loads((out / MANIFEST).read_text())["model"] == "mine"
    assert all(str(tmp_path) not in path.read_text() for path in out.glob("*.json"))


def test_static_says_what_is_missing(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setenv("CMR_CACHE_HOME", str(tmp_path / "cache"))
    command = ["cmr", "space", "static", "sketch", "--out", str(tmp_path / "site")]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "use --allow-download to download it once" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()
