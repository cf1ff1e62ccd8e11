"""What Milvus does besides what every engine must do: it goes away, and comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from milvus_process import MilvusProcess
from pictures import picture

from cmr_hub import cli, load
from cmr_hub.errors import CMRError, ModelFormatError, QueryError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing.index import index_folder
from cmr_hub.gallery.items import Item, items_table
from cmr_hub.gallery.milvus_server import MilvusAddress
from cmr_hub.gallery.segment import Segment
from cmr_hub.gallery.vectors import VectorColumn
from cmr_hub.loading import open_gallery

pytest.importorskip("pymilvus", reason="needs pip install 'cmr-hub[cluster]'")
pytest.importorskip("milvus", reason="needs the server: pip install milvus==2.3.5")

from cmr_hub.gallery.milvus import MilvusStore


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusProcess]:
    process = MilvusProcess(tmp_path_factory.mktemp("milvus"))
    yield process
    process.kill()


INDEX = """
import sys
from cmr_hub import load
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing import encode, index
from cmr_hub.gallery.milvus import MilvusStore
from cmr_hub.gallery.milvus_server import MilvusAddress
encode._BATCH, index._COMMIT_ROWS = 2, 2
model = load(sys.argv[1])
store = MilvusStore(MilvusAddress(sys.argv[2], "killed"), model.fingerprint, sys.argv[1])
put = store.put
def noted(rows, **options):
    put(rows, **options)
    print(*rows.items["path"].to_pylist(), flush=True)  # acknowledged
store.put = noted
index.index_folder(Gallery(store, model), sys.argv[3])
"""


@pytest.mark.faults
def test_a_server_killed_while_a_folder_is_indexed(
    server, saved_model, tmp_path, capsys, monkeypatch
) -> None:
    folder = tmp_path / "pictures"
    for i in range(24):
        picture(folder / f"{i}.png", i)
        (folder / f"{i}.txt").write_text("the sea" if i % 2 else "a flame")
    command = [sys.executable, "-c", INDEX, str(saved_model), server.uri, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        acknowledged = [process.stdout.readline().split() for _ in range(3)]
        server.kill()
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += [line.split() for line in process.stdout]
    server.start()
    address = MilvusAddress(server.uri, "killed")
    there = Gallery(MilvusStore(address))
    # What was being written may be there as well.
    kept = set(there.items["path"].to_pylist())
    assert {path for paths in acknowledged for path in paths} <= kept
    assert len(there) < 24

    # The job is begun again; this time it outlasts a server that goes away and comes back.
    def go_and_come_back() -> None:
        server.kill()
        server.start()

    gone = threading.Thread(target=go_and_come_back)
    put = MilvusStore.put

    def put_while_it_goes(store, rows, **options) -> None:
        if gone.ident is None:
            gone.start()
        put(store, rows, **options)

    with monkeypatch.context() as patch:
        patch.setattr(MilvusStore, "put", put_while_it_goes)
        index = ["cmr", "index", folder, "--model", saved_model, "--engine", "milvus"]
        index += ["--uri", server.uri, "--collection", "killed"]
        assert run(index, patch) == 0
    gone.join()
    assert f"24 items in {server.uri}/killed" in capsys.readouterr().out
    whole = open_gallery(str(address))
    whole.store.verify()
    assert sorted(whole.items["path"].to_pylist()) == sorted(map(str, folder.glob("*.png")))
    assert whole.store.vector_counts == {"image": 24, "text": 24}
    model = load(saved_model)
    here = Gallery.create(None, model)
    here.add_vectors(
        whole.items,
        image_embeddings=model.encode_images([Path(p) for p in whole.items["path"].to_pylist()]),
    )
    hits = whole.search(folder / "7.png", 24, "image")
    assert [hit.path for hit in hits] == [
        hit.path for hit in here.search(folder / "7.png", 24, "image")
    ]

    for arguments, expected in (
        (["search", address, "a flame", "--json", "-k", 3], '"rank": 3'),
        (["gallery", "info", address], "24 image, 24 text"),
        (["gallery", "verify", address], "is intact: 24 items"),
        (["gallery", "compact", address], "is compact: 24 items"),
        (["gallery", "remove", address, "--where", "size > 0"], "24 removed, 0 left"),
    ):
        assert run(["cmr", *arguments], monkeypatch) == 0
        assert expected in capsys.readouterr().out, arguments
    with pytest.raises(ModelFormatError, match=f"{model.fingerprint!r}, not of 'another'"):
        MilvusStore(address, "another")
    with pytest.raises(ModelFormatError, match="no gallery at"):
        MilvusStore(MilvusAddress(server.uri, "nobody"))
    with pytest.raises(QueryError, match="only for prefixes"):
        whole.search("the sea", where="label LIKE '%1'")
    with pytest.raises(QueryError, match="16,384"):
        whole.search("the sea", 20_000)


@pytest.mark.faults
def test_what_a_kill_leaves_half_done(server, saved_model, tmp_path) -> None:
    """The text of a pair without its picture; a collection without its index."""
    folder, model = tmp_path / "pictures", load(saved_model)
    for i in range(3):
        picture(folder / f"{i}.png", i)
        (folder / f"{i}.txt").write_text("the sea")
    address = MilvusAddress(server.uri, "half")
    first = Gallery(MilvusStore(address, model.fingerprint), model)
    index_folder(first, folder)
    ids = set(first.items["id"].to_pylist())
    client = first.store.server.client
    client.delete("half_image", ids=sorted(ids)[:2])
    client.release_collection("half_text")
    client.drop_index("half_text", "vector")

    again = Gallery(MilvusStore(address), model)
    assert again.store.known(sorted(ids)) == {max(ids)}
    assert len(again.store.rows(sorted(ids))) == len(again) == 1
    with pytest.raises(ModelFormatError, match=r"2 pairs have only one vector.*compact"):
        again.store.verify()
    assert index_folder(again, folder).added == 2
    assert set(again.items["id"].to_pylist()) == ids
    again.store.verify()

    client.delete("half_image", ids=[min(ids)])
    again.store.compact()
    again.store.verify()
    assert again.store.vector_counts == {"image": 2, "text": 2}


def test_an_item_too_long_removes_nothing(server) -> None:
    store = MilvusStore(MilvusAddress(server.uri, "long"), "m")
    vector = VectorColumn.full(np.eye(1, 8, dtype=np.float32))
    store.put(Segment(items_table([Item("a", Path("/a.jpg"))]), {"image": vector}))
    for item in (Item("b", Path("/b.jpg"), ("word " * 20_000,)), Item("é" * 200, Path("/b.jpg"))):
        with pytest.raises(ModelFormatError, match="bytes"):
            store.put(Segment(items_table([item]), {"image": vector}), replacing=["a"])
    assert len(store) == 1


def run(arguments: list[object], patch: pytest.MonkeyPatch) -> int:
    patch.setattr(sys, "argv", list(map(str, arguments)))
    patch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code


def test_addresses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert MilvusAddress.parse("http://host:19530") == MilvusAddress("http://host:19530")
    monkeypatch.setenv("CMR_MILVUS_TOKEN", "root:secret")
    monkeypatch.setenv("CMR_MILVUS_CA", str(tmp_path / "ca.pem"))
    address = MilvusAddress.parse("https://host:19530/pets/")
    assert (address.collection, address.token) == ("pets", "root:secret")
    assert str(address) == "https://host:19530/pets"
    assert "secret" not in repr(address)
    with pytest.raises(CMRError, match="do not exist"):
        MilvusStore(address, "m")
    for wrong in ("host:19530", "ftp://host", "http://host/a/b", "http://"):
        with pytest.raises(QueryError, match=r"not the address of a server|not a valid name"):
            MilvusAddress.parse(wrong)
    with pytest.raises(QueryError, match="not a valid name"):
        MilvusAddress("http://host", "a-b")


def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmr_hub.gallery.milvus_server._CONNECT_SECONDS", 1)
    with pytest.raises(CMRError, match=r"Milvus at http://127\.0\.0\.1:1.*Is the server running"):
        MilvusStore(MilvusAddress("http://127.0.0.1:1"), "m")
