"""The dashboard's Space: its folder, and that it runs by the command of its Dockerfile."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml
from served import free_port, served

from cmr_hub.errors import CMRError, DataNotFoundError
from cmr_hub.hub.dashboard_space import APP, build_dashboard_space


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    (folder / "figures").mkdir()
    (folder / "report.md").write_text("# Report\n")
    (folder / "runs.jsonl").write_text("")
    (folder / "figures" / "a.png").write_bytes(b"png")
    (folder / ".runs.lock").touch()
    return folder


@pytest.fixture(scope="module")
def space(results, tmp_path_factory):
    return build_dashboard_space(tmp_path_factory.mktemp("space") / "out", results)


def command(space: Path) -> list[str]:
    (line,) = re.findall(r"^CMD (.*)$", (space / "Dockerfile").read_text(), re.MULTILINE)
    return json.loads(line)


def test_front_matter(space):
    text = (space / "README.md").read_text(encoding="utf-8")
    head = yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)[1])
    assert head["sdk"] == "docker"
    assert f"--server.port={head['app_port']}" in command(space)
    assert f"EXPOSE {head['app_port']}\n" in (space / "Dockerfile").read_text()


def test_files(space):
    names = {path.name for path in space.iterdir()}
    assert names == {
        *("README.md", "Dockerfile", "requirements.txt", "LICENSE", "cmr_hub", "results"),
        ".streamlit",
    }
    found = {path.relative_to(space / "results").as_posix() for path in space.rglob("results/**/*")}
    assert {"report.md", "runs.jsonl", "figures/a.png"} <= found
    assert ".runs.lock" not in found
    assert not list(space.rglob("__pycache__"))
    assert (space / "cmr_hub" / "releases" / "sketch" / "config.json").is_file()


def test_requirements_are_pinned(space):
    lines = (space / "requirements.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line) for line in lines)
    assert {"streamlit", "plotly", "torch"} <= {line.split("==")[0] for line in lines}


def test_what_cannot_be_bundled(results, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("mine")
    with pytest.raises(CMRError, match="was not made by"):
        build_dashboard_space(tmp_path / "mine", results)
    with pytest.raises(DataNotFoundError, match="no results in"):
        build_dashboard_space(tmp_path / "out", tmp_path / "absent")
    assert not (tmp_path / "out").exists()


def run_and_look(python: Path | str, space: Path, seconds: float) -> None:
    """Starts it as the Dockerfile does, waits until it answers, and runs its first page."""
    port = free_port()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "CMR_", "VIRTUAL_ENV"))
    } | {"PYTHONPATH": str(space)}
    options = [option for option in command(space)[1:] if "port" not in option]
    options += [f"--server.port={port}"]
    start = [python, "-m", "streamlit", *options]
    health = "/_stcore/health"
    with served(start, port, path=health, seconds=seconds, cwd=space, env=environment) as url:
        assert httpx.get(f"{url}{health}").text == "ok"
    look = (
        "from streamlit.testing.v1 import AppTest\n"
        f"page = AppTest.from_file({APP!r}, default_timeout={seconds}).run()\n"
        "assert not page.exception, page.exception\n"
    )
    subprocess.run([python, "-c", look], cwd=space, env=environment, check=True)


def test_it_runs(space):
    run_and_look(sys.executable, space, 120)


@pytest.mark.install
def test_it_runs_with_only_its_own_requirements(space, only_its_requirements):
    run_and_look(only_its_requirements(space), space, 300)
