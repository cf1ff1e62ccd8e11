"""The containers: what can be checked without a daemon."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from cmr_hub.cli import app

HOME = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((HOME / "compose.yaml").read_text(encoding="utf-8"))
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent))


@pytest.mark.skipif(HADOLINT is None, reason="hadolint has no package for this system")
def test_the_dockerfile_passes_the_linter():
    run = subprocess.run(
        [HADOLINT, HOME / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert run.stdout == ""
    assert run.returncode == 0


@pytest.mark.parametrize("service", ["page", "dashboard"])
def test_what_a_service_runs_is_a_command(service):
    words = [
        word.replace("${GALLERY:-photos}", "photos")
        for word in COMPOSE["services"][service]["command"]
    ]
    commands = typer.main.get_command(app).commands
    commands[words[0]].make_context("cmr", words[1:])


def test_every_service_keeps_its_data_and_says_how_it_is():
    healthy = {"page"} if "HEALTHCHECK" in (HOME / "Dockerfile").read_text() else set()
    for name, service in COMPOSE["services"].items():
        assert name in healthy or "healthcheck" in service, name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or volume.endswith(":ro"), volume
