"""Whatever a visitor sends: pictures, or sentences that say why not; see `damage.attack`."""

from __future__ import annotations

import io
import zipfile
from functools import cache
from pathlib import Path

import pytest
from damage import Target, attack, contract, damaged, read_whole
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from cmr_hub.apps.search_page.http_api import http_routes
from cmr_hub.apps.search_page.service import Service
from cmr_hub.apps.search_page.uploads import pictures_in


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (5, 4), (200, 30, 30)).save(file, "PNG")
    return file.getvalue()


def zipped(kind: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archive:
        archive.writestr("a/red.png", png())
        archive.writestr("../canary.png", png())
        archive.writestr("words.txt", "no picture")
    return file.getvalue()


KINDS = {
    "stored": zipfile.ZIP_STORED,
    "deflated": zipfile.ZIP_DEFLATED,
    "bzip2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}


@cache
def target(name: str) -> Target:
    def read(folder: Path) -> None:
        before = sorted(folder.rglob("*"))
        for shown, found in pictures_in([folder / "up.zip"]):
            assert "/" not in shown
            assert isinstance(found, Image.Image) or str(found)
        assert sorted(folder.rglob("*")) == before

    return Target({"up.zip": zipped(KINDS[name])}, read)


@pytest.mark.parametrize("name", KINDS)
def test_whole_files_are_read(name: str) -> None:
    read_whole(target(name))


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
def test_any_zip(name: str, data: st.DataObject) -> None:
    attack(target(name), data)


@given(
    path=st.sampled_from(["/search", "/encode", "/facets", "/item/x"]),
    method=st.sampled_from(["GET", "POST", "PUT"]),
    query=st.dictionaries(
        st.sampled_from(["text", "count", "without", "where", "target", "like", "weight", "x"]),
        st.sampled_from(["", "a red square", "wug", "-1", "nan", "1e999", "²", "\0", "9" * 5000])
        | st.text(max_size=30),
        max_size=3,
    ),
    body=st.none() | damaged(png()),
)
def test_any_request(engine, path: str, method: str, query: dict[str, str], body) -> None:
    client = TestClient(Starlette(routes=http_routes(Service(engine))))
    query = {name: value.encode("utf-8", "replace").decode() for name, value in query.items()}
    with contract():
        answer = client.request(method, path, params=query, content=body)
        assert answer.status_code in (200, 400, 404, 405, 413, 422)
        if answer.status_code != 405:
            assert answer.json()
