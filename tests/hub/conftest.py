"""A Hub on this machine, and a process whose client talks to it."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import hub_calls
import pytest
from hub_server import HubServer


@pytest.fixture(scope="session")
def _server() -> Iterator[HubServer]:
    server = HubServer()
    yield server
    server.shutdown()


@pytest.fixture
def server(_server: HubServer) -> HubServer:
    _server.reset()
    return _server


@pytest.fixture(scope="session")
def client(
    _server: HubServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., object]]:
    """`client(function, ...)` calls a function of `hub_calls` in that process.

    It is another process because the client reads its environment when it is imported.
    """
    home = tmp_path_factory.mktemp("hf-home")
    with (
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING"))]:
            patch.delenv(name)
        for name, value in {
            "HF_ENDPOINT": _server.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        }.items():
            patch.setenv(name, value)
        assert pool.submit(hub_calls.ready).result() == _server.url
        patch.undo()
        yield lambda function, *args, **options: pool.submit(function, *args, **options).result()


@pytest.fixture
def only_its_requirements(tmp_path: Path) -> Callable[[Path], Path]:
    """Gives the Python of a new environment with a Space's requirements and nothing else."""

    def install(space: Path) -> Path:
        uv, home = Path(sys.executable).with_name("uv"), tmp_path / "venv"
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, home], check=True)
        python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
        command = [uv, "pip", "install", "-q", "--python", python, "-r", space / "requirements.txt"]
        subprocess.run(command, check=True)
        return python

    return install
