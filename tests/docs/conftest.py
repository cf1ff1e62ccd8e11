"""Run the commands of a page one by one in a copy of the clone with its own home directory."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from documents import HOME, Block, commands, plain
from PIL import Image
from warm_cmr import WarmCmr

from cmr_hub.gallery.local import LocalStore
from cmr_hub.releases import release_directory

SERVES = ("make demo", "cmr demo", "cmr dashboard")
"""Prefixes of the commands that run until Ctrl-C."""
ADDRESS = re.compile(r"http://(?:127\.0\.0\.1|localhost):\d+")
SECONDS = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that run the commands of a page."""
    for item in items:
        if "reader" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.documents)


class Reader:
    """Run the code blocks of a page in order, as a user with a clone would.

    Args:
        clone: a copy of the repository, with its environment in `.venv`.
        home: the home directory.
        warm: the process that runs `cmr`.
    """

    def __init__(self, clone: Path, home: Path, warm: WarmCmr) -> None:
        self.clone, self.home = clone, home
        self.cmr = home / "bin" / "cmr"
        warm.command(self.cmr, clone / ".venv" / "bin" / "cmr")
        self.servers: list[subprocess.Popen[bytes]] = []
        self.address = ""
        browser = home / "browser"
        browser.write_text(f'#!/bin/sh\necho "$1" >> {home}/opened\n')
        browser.chmod(0o755)
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CMR_", "HF_", "VIRTUAL_ENV", "PYTEST_", "COVERAGE_", "COV_"))
        }
        venv = str(Path(sys.prefix, "bin"))
        path = [part for part in os.environ["PATH"].split(os.pathsep) if part != venv]
        self.environment |= {
            "HOME": str(home),
            "PATH": os.pathsep.join(path),
            # Import the copy instead of the installed package. Packages that a page installs go to
            # the home directory and are built with the installed tools.
            "PYTHONPATH": os.pathsep.join([str(clone), str(home / "site")]),
            "PIP_TARGET": str(home / "site"),
            "PIP_NO_BUILD_ISOLATION": "0",  # pip reads this as the value of `build_isolation`
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "BROWSER": str(browser),
            "GRADIO_TEMP_DIR": str(home / "gradio"),
            "HF_HUB_OFFLINE": "1",
            "CMR_CACHE_HOME": os.environ["CMR_CACHE_HOME"],
        }

    def activate(self) -> None:
        """Do what `. .venv/bin/activate` does, with a `cmr` that starts quickly."""
        parts = (str(self.cmr.parent), f"{self.clone}/.venv/bin", self.environment["PATH"])
        self.environment["PATH"] = os.pathsep.join(parts)

    def opened(self) -> list[str]:
        """Return the URLs that were opened in the browser."""
        found = self.home / "opened"
        return found.read_text().splitlines() if found.exists() else []

    def follow(self, block: Block, without: Callable[[str], bool]) -> str:
        """Run a block, except for the commands that `without` selects, and return the output."""
        if block.file is not None:
            self._new_file(block)
        elif block.language == "diff":
            self._change(block)
        elif block.language == "python":
            return self._run(f"python - <<'BLOCK'\n{block.text}BLOCK\n", block)
        elif block.language == "sh":
            return "".join(self._shell(block, without))
        return ""

    def leave(self) -> None:
        """Stop the servers, as Ctrl-C does."""
        for server in self.servers:
            os.killpg(server.pid, signal.SIGINT)
        for server in self.servers:
            try:
                server.wait(timeout=20)
            finally:
                if server.poll() is None:
                    os.killpg(server.pid, signal.SIGKILL)

    def _shell(self, block: Block, without: Callable[[str], bool]) -> Iterator[str]:
        script = ""
        for command in commands(block.text):
            if without(plain(command)):
                continue
            if plain(command).startswith(SERVES):
                yield self._run(script, block)
                script = ""
                self._serve(command, block)
            else:
                # The page shows the default port, but the server may use another free one.
                script += command.replace("http://127.0.0.1:7860", self.address)
        yield self._run(script, block)

    def _run(self, script: str, block: Block) -> str:
        """Run a Bash script and keep its changes to the environment variables."""
        kept = self.home / "environment"
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{script}\nenv -0 > {kept}"],
            cwd=self.clone,
            env=self.environment,
            input="y\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert ran.returncode == 0, f"{block.where}\n{script}\n{ran.stdout[-3000:]}{ran.stderr}"
        assert "Traceback" not in ran.stderr, f"{block.where}\n{script}\n{ran.stderr}"
        pairs = kept.read_text().split("\0")
        self.environment = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        return ran.stdout

    def _serve(self, command: str, block: Block) -> None:
        """Start a server and request its page."""
        log = self.home / f"server-{len(self.servers)}.log"
        # The installed `cmr`, which gets Ctrl-C itself.
        path = self.environment["PATH"].removeprefix(f"{self.cmr.parent}{os.pathsep}")
        with log.open("wb") as output:
            server = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.clone,
                env=self.environment | {"PYTHONUNBUFFERED": "1", "PATH": path},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.servers.append(server)
        end = time.monotonic() + SECONDS
        while not (found := ADDRESS.search(log.read_text())):
            assert server.poll() is None, f"{block.where}: {command}\n{log.read_text()}"
            assert time.monotonic() < end, f"{block.where}: {command} prints no address"
            time.sleep(0.1)
        self.address = found[0]
        while True:
            try:
                with urllib.request.urlopen(self.address, timeout=30) as answer:
                    assert answer.status == 200
                    return
            except OSError:
                assert server.poll() is None, f"{block.where}: {command}\n{log.read_text()}"
                assert time.monotonic() < end, f"{block.where}: {command} does not respond"
                time.sleep(0.1)

    def _new_file(self, block: Block) -> None:
        path = self.clone / str(block.file)
        assert not path.exists(), f"{block.where}: {block.file} already exists"
        path.parent.mkdir(exist_ok=True)
        path.write_text(block.text, encoding="utf-8")

    def _change(self, block: Block) -> None:
        """Apply a `diff` block, whose first line names the file."""
        name, *lines = block.text.splitlines(keepends=True)
        path = self.clone / name.removeprefix(" # ").strip()
        text = path.read_text(encoding="utf-8")
        old = "".join(line[1:] for line in lines if not line.startswith("+"))
        new = "".join(line[1:] for line in lines if not line.startswith("-"))
        assert text.count(old) == 1, f"{block.where}: no such lines in {path.name}:\n{old}"
        path.write_text(text.replace(old, new), encoding="utf-8")


@dataclass(frozen=True)
class Sketch:
    """A picture of the included gallery of sketches."""

    path: Path
    sentences: list[str]
    label: str

    def save(self, path: Path) -> Path:
        """Save the picture under another name and format."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(self.path) as image:
            image.convert("RGB").save(path)
        return path


@pytest.fixture(scope="session")
def sketches() -> dict[str, list[Sketch]]:
    """Return twelve sketches of each class."""
    release = release_directory("sketch")
    table = LocalStore.open(release / "gallery", root=release / "pictures").table()
    found: dict[str, list[Sketch]] = {}
    for row in table.to_pylist():
        sketch = Sketch(Path(row["path"]), row["sentences"], row["label"])
        found.setdefault(sketch.label, []).append(sketch)
    return found


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a copy of this clone whose `.venv` is this environment, marked as up to date."""
    clone = tmp_path / "cmr-hub"
    # `*.pyc.*` are compiled modules that other processes are writing.
    left_out = (".git", ".venv", "build", "runs", ".*_cache", "curves", "*.pyc.*")
    ignore = shutil.ignore_patterns(*left_out)
    shutil.copytree(HOME, clone, ignore=ignore)
    environment = clone / ".venv"
    environment.mkdir()
    for part in Path(sys.prefix).iterdir():
        if not part.name.startswith((".locked", ".installed")):
            (environment / part.name).symlink_to(part)
    # The stamps must be newer than the lock file; otherwise make would install the copy here.
    for stamp in (".locked", ".installed", ".installed-dev"):
        (environment / stamp).touch()
    return clone


@pytest.fixture(scope="session")
def warm() -> Iterator[WarmCmr]:
    process = WarmCmr()
    yield process
    process.end()


@pytest.fixture
def reader(clone: Path, tmp_path: Path, warm: WarmCmr) -> Iterator[Reader]:
    """Someone who has just cloned the repository and knows nothing of it."""
    if sys.prefix == sys.base_prefix:
        pytest.skip("needs a virtual environment, as created by `make test`")
    home = tmp_path / "home"
    home.mkdir()
    person = Reader(clone, home, warm)
    yield person
    person.leave()
