from __future__ import annotations

import json
import runpy
import socket
import subprocess
import sys
from ast import literal_eval
from base64 import b64encode
from pathlib import Path

import httpx
import pytest
import typer

from cmr_hub.apps.search_page import build_page, launch, serve, serving
from cmr_hub.apps.search_page.query_options import QueryOptions
from cmr_hub.errors import CMRError, QueryError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import items_table
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.towers import ImageTower, TextTower

DEMO = Path(__file__).parents[3] / "demo_gradio.py"


def other_gallery(model: CrossModalModel, gallery: object) -> CrossModalModel:
    other = CrossModalModel(
        model.image,
        model.text,
    )
    other.gallery = gallery
    return other


def test_models_that_cannot_be_searched(model) -> None:
    empty = Gallery.from_vectors(
        items_table([]),
        image_embeddings=model.encode_texts(["red"])[:0],
        model_id=model.fingerprint,
    )
    for gallery in (None, empty):
        with pytest.raises(QueryError, match=r"no gallery.*--gallery test"):
            build_page(other_gallery(model, gallery))
    features = CrossModalModel(
        ImageTower(None, model.image.projector), TextTower(None, model.text.projector)
    )
    for arguments in ((features, {}), (model, {"compare": {"features": features}})):
        with pytest.raises(QueryError, match="precomputed features"):
            build_page(arguments[0], **arguments[1])


def test_pictures_that_moved_break_nothing(make_model) -> None:
    model = make_model()
    folder = model.search("red", k=1)[0].path.parent
    folder.rename(folder.with_name("elsewhere"))
    build_page(model)


def test_a_taken_port_is_told(model) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CMRError, match=f"cannot listen on 127.0.0.1, port {port}; choose"):
            serve(build_page(model), host="127.0.0.1", port=port, block=False)


def test_launch_serves_the_model_of_a_directory(model, monkeypatch, capsys, tmp_path) -> None:
    asked: list[object] = []
    monkeypatch.setattr(serving, "load", lambda name, **_: asked.append(name) or model)
    monkeypatch.setattr(serving, "wait", lambda page: page.close())
    launch(tmp_path, compare=["other"], host="127.0.0.1", port=None)
    assert asked == [tmp_path, "other"]
    assert "The page is at http://127.0.0.1:" in capsys.readouterr().out


def test_visitors_see_no_folders_of_this_machine(model, monkeypatch, tmp_path) -> None:
    shown: list[str] = []
    monkeypatch.setattr(serving, "load", lambda name, **_: model)
    monkeypatch.setattr(serving, "wait", lambda page: page.close())
    build = serving.build_page
    monkeypatch.setattr(
        serving,
        "build_page",
        lambda model, *, name, compare, **rest: (
            shown.extend((name, *compare)) or build(model, name=name, compare=compare, **rest)
        ),
    )
    launch(tmp_path / "mine", compare=[tmp_path / "other"], host="127.0.0.1", port=None)
    assert shown == ["mine", "other"]


@pytest.mark.parametrize(
    ("given", "is_private"),
    [
        ({"gallery": "mine", "host": "127.0.0.1"}, True),
        ({"gallery": "mine", "host": "[::1]"}, True),
        ({"host": "127.0.0.1"}, False),
        ({"gallery": "mine", "host": "0.0.0.0"}, False),
        ({"gallery": "mine", "host": "127.0.0.1", "allow_hosts": ["photos.example.org"]}, False),
        ({"gallery": "mine", "host": "127.0.0.1", "space": "x.hf.space"}, False),
    ],
)
def test_who_sees_paths(model, photographs, monkeypatch, given, is_private) -> None:
    """Only the owner of a gallery, on a page that nobody else can reach."""
    space = given.get("space")
    if space is not None:
        monkeypatch.setenv("SPACE_HOST", space)
    built: list[bool] = []
    monkeypatch.setattr(serving, "load", lambda name, **_: model)
    monkeypatch.setattr(serving, "open_gallery", lambda *_, **__: photographs)
    monkeypatch.setattr(serving, "serve", lambda *_, **__: None)
    monkeypatch.setattr(
        serving, "build_page", lambda *_, **options: built.append(options["is_private"])
    )
    monkeypatch.setattr(model, "gallery", model.gallery)
    launch(None, port=None, **{name: given[name] for name in given if name != "space"})
    assert built == [is_private]


def test_serving_asks_no_other_machine(model, serve_page, monkeypatch) -> None:
    asked: set[str] = set()
    look_up = socket.getaddrinfo

    def noted(host, *args, **kwargs):
        asked.add(host.decode() if isinstance(host, bytes) else str(host))
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", noted)
    httpx.get(serve_page(model)).raise_for_status()
    assert asked
    assert asked <= {"127.0.0.1", "localhost"}


def test_no_stub_is_written_beside_the_source() -> None:
    assert list(Path(serving.__file__).parent.glob("*.pyi")) == []


def test_mcp_is_a_switch(model, url, monkeypatch) -> None:
    assert httpx.get(f"{url}gradio_api/mcp/schema").status_code == 404
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    page = build_page(model)
    with pytest.raises(CMRError, match=r"pip install 'cmr-hub\[mcp\]'"):
        serve(page, host="127.0.0.1", port=None, block=False, mcp=True)


@pytest.fixture(scope="module")
def mcp_url(model):
    pytest.importorskip("mcp", reason="needs the extra mcp")
    page = build_page(model)
    try:
        yield serve(page, host="127.0.0.1", port=None, block=False, mcp=True)
    finally:
        page.close()


def called(url: str, tool: str, **arguments: object) -> tuple[object, str]:
    """What a tool answers: what it found, or what is wrong."""
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": tool, "arguments": arguments},
    }
    wanted = {"Accept": "application/json, text/event-stream"}
    answer = httpx.post(f"{url}gradio_api/mcp/", json=body, headers=wanted, timeout=60)
    result = json.loads(answer.text.partition("data: ")[2])["result"]
    (text,) = [part["text"] for part in result["content"]]
    return (None, text) if result["isError"] else (literal_eval(text), "")


def test_mcp_tools(mcp_url) -> None:
    url = mcp_url
    tools = httpx.get(f"{url}gradio_api/mcp/schema", timeout=60).raise_for_status().json()
    assert {tool["name"] for tool in tools} == {"search", "encode", "facets", "item"}
    described = {tool["name"]: tool for tool in tools}["search"]
    assert described["description"].startswith("Find pictures and sentences of the gallery")
    assert set(described["inputSchema"]["properties"]) == {*QueryOptions.model_fields}


def test_what_mcp_may_leave_out(mcp_url, model) -> None:
    expected = [hit.id for hit in model.search("a blue square", k=10)]
    found, _ = called(mcp_url, "search", text="a blue square")
    assert [hit["id"] for hit in found["pictures"]] == expected
    found, _ = called(mcp_url, "search", text="a blue square", count=2, without="", target="")
    assert [hit["id"] for hit in found["pictures"]] == expected[:2]
    found, _ = called(mcp_url, "encode", text="a blue square")
    assert len(found["vector"]) == model.dim
    for tool, arguments, why in (
        ("search", {}, "The text is empty; enter a sentence."),
        ("search", {"text": "blue", "colour": "x"}, "`colour` is not a valid"),
        ("search", {"text": "blue", "count": 0}, "Count must be a whole number from 1 to 500"),
        ("search", {"text": "blue", "where": "colour = 3"}, "There is no column 'colour'"),
        ("item", {"id": "none"}, "The gallery has no item with this id."),
        ("encode", {}, "Send either a text or a picture"),
    ):
        assert why in called(mcp_url, tool, **arguments)[1]


def test_pictures_for_mcp(mcp_url, model, red_square) -> None:
    """The address of what was sent to the page, or the picture itself."""
    expected = [hit.id for hit in model.search(image=red_square, k=10, target="text")]
    files = {"files": ("a.png", red_square.read_bytes())}
    (path,) = httpx.post(f"{mcp_url}gradio_api/upload", files=files, timeout=60).json()
    whole = f"data:image/png;base64,{b64encode(red_square.read_bytes()).decode()}"
    for picture in (f"{mcp_url}gradio_api/file={path}", whole):
        found, why = called(mcp_url, "search", image=picture)
        assert why == ""
        assert [hit["id"] for hit in found["sentences"]] == expected


def test_the_demo_says_what_it_needs(tmp_path) -> None:
    ran = subprocess.run(
        [sys.executable, DEMO, "./runs/none"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=300,
    )
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr == (
        "error: there is no model directory runs/none, and no release (photos, sketch) or short "
        "name (see `cmr models`) of this name; train one with `cmr train --out runs/none`\n"
    )


def test_the_demo_on_a_directory_of_something_else(tmp_path, capsys) -> None:
    with pytest.raises(typer.Exit) as stopped:
        runpy.run_path(str(DEMO))["main"](tmp_path)
    assert stopped.value.exit_code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path} is not a model directory")
