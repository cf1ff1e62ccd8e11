"""What is handed out: an sdist, the wheel built from it, and that the wheel works by itself."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]
NOT_HANDED_OUT = (".venv", ".git", ".*_cache", "__pycache__", "build", "dist", "*.egg-info", "runs")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The folder of sdist and wheel."""
    folder = tmp_path_factory.mktemp("built")
    clone = folder / "clone"
    shutil.copytree(HOME, clone, ignore=shutil.ignore_patterns(*NOT_HANDED_OUT))
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, clone],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    shutil.rmtree(clone)
    return folder


def source() -> set[str]:
    """The package's files in the clone."""
    files = (HOME / "cmr_hub").rglob("*")
    return {
        path.relative_to(HOME).as_posix()
        for path in files
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_has_the_whole_package_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name for name in names if name.startswith("cmr_hub/")} == source()
    others = {name.partition("/")[0].rpartition(".")[2] for name in names - source()}
    assert others == {"dist-info"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_sdist_has_no_data_and_no_leftovers(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert source() <= names
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names
    foreign = ("results/", ".venv", "runs/")
    assert not [name for name in names if name.startswith(foreign) or "__pycache__" in name]


@pytest.mark.install
def test_it_works_without_the_clone(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    environment = tmp_path / "venv"
    command = ["make", f"PYTHON={sys.executable}", f"VENV={environment}", environment / ".locked"]
    subprocess.run(command, cwd=HOME, check=True)
    python = environment / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "-q", "--no-deps", "--no-index", wheel], check=True)
    subprocess.run([*pip, "check"], check=True)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "CMR_"))}
    found = subprocess.run(
        [environment / "bin" / "cmr", "search", "sketch", "a red car"],
        check=True,
        **{"cwd": tmp_path, "env": clean},
        **{"capture_output": True, "text": True, "timeout": 300},
    )
    assert " red " in found.stdout
