"""What `cmr doctor` and `cmr --version` say."""

import json
import tomllib
from importlib.metadata import version
from pathlib import Path

from typer.testing import CliRunner

from cmr_hub import __version__
from cmr_hub.cli import app, doctor

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def run(*words: str) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.output
    return result.stdout


def test_version():
    assert run("--version") == f"cmr-hub {__version__}\n"


def test_json(monkeypatch, tmp_path):
    monkeypatch.setenv("CMR_CACHE_HOME", str(tmp_path / "cache"))
    found = json.loads(run("doctor", "--json"))
    assert found["version"] == __version__
    assert found["cache"] == str(tmp_path / "cache")
    assert found["cache_gib"] == 0
    assert found["disk_free_gib"] > 0
    assert found["included_models"] == ["photos", "sketch"]
    assert f"numpy {version('numpy')}" in found["libraries"]


def test_every_extra_says_what_it_adds():
    extras = doctor.diagnosis()["extras"]
    assert set(extras) == set(PROJECT["optional-dependencies"]) - {"all"}
    assert all(extra["adds"] for extra in extras.values())


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    known = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "ray" else known(name))
    output = " ".join(run("doctor").split())
    assert "cmr-hub[cluster]" in output
    assert doctor.diagnosis()["extras"]["cluster"]["missing"] == ["ray"]
