"""Fetching datasets, from a server of this machine that breaks off."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from cmr_hub.checksums import sha256_of_file
from cmr_hub.datasets import fetch
from cmr_hub.datasets.fetch import SOURCES, Archive, Source, download, fetch_dataset, unpack
from cmr_hub.errors import CMRError, DataFormatError


class Server(ThreadingHTTPServer):
    """Serves `files`; each reply ends after `most` bytes, and `asked` collects the ranges."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.most: int | None = None
        self.has_ranges = True
        self.tag = '"1"'
        self.asked: list[str | None] = []

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        content = self.server.files.get(self.path[1:])
        if content is None:
            self.send_error(404)
            return
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        start = 0
        if asked and self.server.has_ranges and self.headers["If-Range"] == self.server.tag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", self.server.tag)
        self.end_headers()
        self.wfile.write(content[start:][: self.server.most])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as started:
        Thread(target=started.serve_forever, daemon=True).start()
        yield started
        started.shutdown()


def zipped(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


CONTENT = bytes(range(256)) * 40


def test_a_download_that_breaks_off_goes_on(server, tmp_path) -> None:
    server.files["a"], server.most = CONTENT, 4000
    download(server.url("a"), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=4000-", "bytes=8000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_was_fetched_before_is_kept(server, tmp_path, monkeypatch) -> None:
    server.files["a"], server.most = CONTENT, 4000
    with monkeypatch.context() as patch:
        patch.setattr(fetch, "_TRIES", 1)
        server.most = 0
        with pytest.raises(CMRError, match=r"was lost\. Run the same command again"):
            download(server.url("a"), tmp_path / "a")
    (tmp_path / "a.part").write_bytes(CONTENT[:5000])
    server.most, server.asked = None, []
    download(server.url("a"), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert server.asked == ["bytes=5000-"]


@pytest.mark.parametrize("change", ["new version", "no ranges"])
def test_a_part_of_something_else_is_not_used(server, tmp_path, change: str) -> None:
    server.files["a"] = CONTENT
    (tmp_path / "a.part").write_bytes(b"old" * 100)
    (tmp_path / "a.mark").write_text('"0"' if change == "new version" else '"1"')
    server.has_ranges = change != "no ranges"
    download(server.url("a"), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_what_is_not_there(server, tmp_path) -> None:
    with pytest.raises(CMRError, match="cannot be downloaded: 404"):
        download(server.url("absent"), tmp_path / "a")
    with pytest.raises(CMRError, match=r"cannot be downloaded: .*refused"):
        download("http://127.0.0.1:9/a", tmp_path / "a")


@pytest.fixture
def tiny(server, monkeypatch, tmp_path) -> Source:
    """A dataset of two archives."""
    server.files["a.zip"] = zipped({"top/list": b"one", "top/images/1.jpg": b"picture"})
    server.files["b.zip"] = zipped({"x.txt": b"text", "y.txt": b"not needed"})
    (tmp_path / "one").write_bytes(b"one")
    source = Source(
        (Archive(server.url("a.zip")), Archive(server.url("b.zip"), "texts", ("x.txt",))),
        {"list": sha256_of_file(tmp_path / "one")},
    )
    monkeypatch.setitem(SOURCES, "wikipedia", source)
    return source


def written(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_dataset(server, tiny, tmp_path) -> None:
    server.most = 150
    assert fetch_dataset("wikipedia", tmp_path / "w") is True
    expected = {"list": b"one", "images/1.jpg": b"picture", "texts/x.txt": b"text"}
    assert written(tmp_path / "w") == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "w"]
    with pytest.raises(CMRError, match="is not empty"):
        fetch_dataset("wikipedia", tmp_path / "w")


def test_an_archive_that_is_there_is_not_fetched_again(server, tiny, tmp_path) -> None:
    second = server.files.pop("b.zip")
    with pytest.raises(CMRError, match="404"):
        fetch_dataset("wikipedia", tmp_path / "w")
    assert not (tmp_path / "w").exists()
    server.files["b.zip"], server.asked = second, []
    fetch_dataset("wikipedia", tmp_path / "w")
    assert len(server.asked) == 1


def test_another_checksum(server, tiny, tmp_path) -> None:
    server.files["a.zip"] = zipped({"top/list": b"two", "top/images/1.jpg": b"picture"})
    with pytest.raises(DataFormatError, match="the SHA-256 of"):
        fetch_dataset("wikipedia", tmp_path / "w")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.parametrize(
    "name", ["../up", "a/../../up", "/etc/x", "..\\up", "C:\\x", "C:/x", "\\\\server\\x\\y"]
)
def test_names_that_lead_out(tmp_path, name: str) -> None:
    (tmp_path / "a.zip").write_bytes(zipped({"fine": b"x", name: b"evil"}))
    with pytest.raises(DataFormatError, match="leads out of the folder"):
        unpack(tmp_path / "a.zip", tmp_path / "inside" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_links_and_bombs_and_damage(tmp_path, monkeypatch) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    (tmp_path / "a.zip").write_bytes(zipped({link: b"/etc/passwd"}))
    with pytest.raises(DataFormatError, match="is a link"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10**7))
    with pytest.raises(DataFormatError, match="unpacks to 10,000,000 bytes"):
        unpack(tmp_path / "b.zip", tmp_path / "out")
    whole = zipped({"a": CONTENT})
    for damaged in (whole[:-30], whole.replace(CONTENT[:64], bytes(64), 1), b"no zip"):
        (tmp_path / "c.zip").write_bytes(damaged)
        with pytest.raises(DataFormatError, match=r"c\.zip is damaged"):
            unpack(tmp_path / "c.zip", tmp_path / "out")


def test_pinned_files_are_those_of_the_dataset(data_home) -> None:
    folder = data_home / "wikipedia"
    pinned = SOURCES["wikipedia"].sha256
    assert {name: sha256_of_file(folder / name) for name in pinned} == pinned
