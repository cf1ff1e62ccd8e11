"""Commands that can be interrupted, a small disk, and small training data."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cmr_process import Cmr, Cut
from small_study import write_wikipedia


@pytest.fixture(scope="session")
def cmr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cmr]:
    """Return a function that runs `cmr(ARGUMENTS)` in a process."""
    runner = Cmr.begin(tmp_path_factory.mktemp("printed"))
    yield runner
    runner.end()


@pytest.fixture(scope="session")
def wikipedia(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with Wikipedia's lists and informative 3-d features."""
    home = tmp_path_factory.mktemp("data")
    write_wikipedia(home / "wikipedia")
    return home


@dataclass
class Disk:
    """A small separate disk, or, if none can be mounted, a limit on file sizes."""

    path: Path
    is_mounted: bool

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"

    def full_at(self, at: str, **options: object) -> Cut:
        """Return a fault that fills the disk when a command calls this function."""
        ballast = str(self._ballast) if self.is_mounted else ""
        return Cut(at, "fill", path=ballast, **options)

    def make_room(self) -> None:
        self._ballast.unlink(missing_ok=True)


def _mounted(path: Path, size: str) -> bool:
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        return False
    command = [mount, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    is_mounted = _mounted(path, "32m")
    yield Disk(path, is_mounted)
    if is_mounted:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """Return a folder to which nobody can write, not even root."""
    path = tmp_path / "read-only"
    path.mkdir()
    is_mounted = _mounted(path, "1m,ro")
    if not is_mounted and os.geteuid() == 0:
        pytest.skip("root can write everywhere, and no disk can be mounted")
    if not is_mounted:
        path.chmod(0o555)
    yield path
    if is_mounted:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
    else:
        path.chmod(0o755)
