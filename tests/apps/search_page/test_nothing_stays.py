"""What visitors have sent is gone when the page is, however it ends."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import httpx
import pytest

from cmr_hub.apps.search_page import visitor_files
from cmr_hub.apps.search_page.visitor_files import FullError, VisitorFolder, no_room
from cmr_hub.errors import CMRError, StorageError

PAGE = """
import sys
from cmr_hub.apps.search_page import build_page, serve
from cmr_hub.loading import load
page = build_page(load("sketch"), name="sketch")
own = page.sessions.open("a visit")
from PIL import Image
Image.new("RGB", (30, 30), "red").save(sys.argv[1])
from pathlib import Path
list(own.add([Path(sys.argv[1])]))
serve(page, host="127.0.0.1", port=None)
"""


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """Where pages have their folders."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "pages"))
    return tmp_path / "pages"


def started(tmp_path: Path, here: Path) -> tuple[subprocess.Popen[str], str]:
    environment = os.environ | {"TMPDIR": str(tmp_path), "GRADIO_TEMP_DIR": str(here)}
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", PAGE, tmp_path / "own.png"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("The page is at "):
            return process, line.split()[4]
    raise AssertionError("the page has not started")


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def broken_off(url: str) -> socket.socket:
    """An upload of 60 MB of which 3 have come."""
    address = httpx.URL(url)
    line = socket.create_connection((address.host, address.port), timeout=20)
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    line.sendall(
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: {address.host}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {60 * 2**20}\r\n\r\n".encode()
    )
    line.sendall(head + b"x" * (3 * 2**20))
    return line


@pytest.mark.faults
def test_signals(tmp_path, here) -> None:
    """One page is killed; the next ones sweep, and go on SIGTERM, SIGHUP and Ctrl+C."""
    for end in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        process, url = started(tmp_path, here)
        try:
            (folder,) = here.glob("cmr-page-*")  # what an earlier one left is swept
            sent = httpx.post(f"{url}gradio_api/upload", files={"files": ("a.png", b"x")})
            (path,) = sent.json()
            assert Path(path).read_bytes() == b"x"
            before = len(files_in(folder))
            assert before == 3  # the upload, the picture of the visit, and the lock
            with broken_off(url), httpx.stream("GET", f"{url}gradio_api/heartbeat/a") as visit:
                assert visit.status_code == 200
                time.sleep(0.3)
                assert len(files_in(folder)) == before
                process.send_signal(end)
                process.wait(30)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        left = files_in(here)
        assert len(left) == (before if end == signal.SIGKILL else 0), end
        assert {path.name for path in tmp_path.iterdir()} == {"pages", "own.png"}


def test_a_running_page_is_not_swept(here) -> None:
    first = VisitorFolder()
    path = first.keep("a.png", BytesIO(b"x"))
    second = VisitorFolder()
    assert Path(path).exists()
    first.close()
    second.close()
    assert list(here.iterdir()) == []


def test_a_folder_is_full_and_has_room_again(here, monkeypatch) -> None:
    monkeypatch.setattr(visitor_files, "MAX_PER_ADDRESS", 50)
    files = VisitorFolder(most=100)
    first = files.keep("a", BytesIO(b"x" * 60))
    with pytest.raises(FullError, match="no space for more pictures; try again later"):
        files.keep("b", BytesIO(b"x" * 60))
    assert len(files_in(here)) == 2
    with pytest.raises(FullError):
        files.keep("b", BytesIO(b"x" * 51), "10.0.0.1")
    files.remove([first])
    files.keep("c", BytesIO(b"x" * 60))
    files.close()


def test_old_uploads_go(here, monkeypatch) -> None:
    files = VisitorFolder()
    path = files.keep("a", BytesIO(b"x"))
    monkeypatch.setattr(visitor_files, "STORED_SECONDS", -1.0)
    files.keep("b", BytesIO(b"x"))
    assert not Path(path).exists()
    with pytest.raises(CMRError, match="in this visit"):
        files.claim(path, None)


def test_a_full_disk_is_told(serve_page, model, monkeypatch) -> None:
    """507 with a sentence as long as there is no room, and 200 as soon as there is."""
    url = serve_page(model)

    def upload() -> httpx.Response:
        return httpx.post(f"{url}gradio_api/upload", files={"files": ("a.png", b"x" * 5_000_000)})

    copy = visitor_files.shutil.copyfileobj

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(visitor_files.shutil, "copyfileobj", full)
    for _ in range(3):
        answer = upload()
        assert answer.status_code == 507
        assert answer.json()["error"].startswith("The page has no space for more pictures;")
    monkeypatch.setattr(visitor_files.shutil, "copyfileobj", copy)
    (path,) = upload().raise_for_status().json()
    assert Path(path).stat().st_size == 5_000_000


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "file"))
    with pytest.raises(StorageError, match=r"cannot write to the temporary folder .*; set TMPDIR"):
        VisitorFolder()
    assert not no_room(OSError(errno.EACCES, "no"))
