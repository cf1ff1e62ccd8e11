"""The exclusive lock of a folder: held until its process ends, even if it is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cmr_hub.errors import InUseError
from cmr_hub.writer import exclusive_lock

HOLD = """
import sys
from cmr_hub.writer import exclusive_lock
with exclusive_lock(sys.argv[1], "go elsewhere"):
    print("ready", flush=True)
    sys.stdin.readline()
"""


def test_another_process_is_named_until_it_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    writer = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    expected = f"process {writer.pid} on .* is writing to .*results; .* or go elsewhere"
    with pytest.raises(InUseError, match=expected), exclusive_lock(folder, "go elsewhere"):
        pass
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    with exclusive_lock(folder, "go elsewhere"):
        assert f"process {os.getpid()} " in (folder / ".writer").read_text()
    assert not folder.exists()


def test_what_was_written_stays_and_nothing_else(tmp_path: Path) -> None:
    with exclusive_lock(tmp_path / "a", "wait"):
        (tmp_path / "a" / "mine").write_text("mine")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["mine"]


@pytest.mark.parametrize("name", [".writer", ".writer.lock"])
def test_a_link_leads_to_no_other_file(tmp_path: Path, name: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / name).symlink_to(precious)
    with exclusive_lock(tmp_path / "a", "wait"):
        pass
    assert precious.read_text() == "mine"
    assert not (tmp_path / "a").exists()
