"""The same gallery in this process and in a Milvus server that the tests start."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from cmr_hub.errors import CMRError, ModelFormatError, QueryError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.where import Where

pytest.importorskip("pymilvus", reason="needs pip install 'cmr-hub[milvus]'")
pytest.importorskip("milvus", reason="needs the server: pip install milvus==2.3.5")

from cmr_hub.gallery.milvus import MilvusAddress, MilvusStore

SERVER = """
import sys, time
from milvus import MilvusServer
server = MilvusServer()
server.set_base_dir(sys.argv[1])
server.listen_port = int(sys.argv[2])
server.start()
print(server.server_proc.pid, flush=True)
time.sleep(3600)
"""


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server with a folder of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("milvus")
    command = [sys.executable, "-c", SERVER, str(folder), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        pid = int(process.stdout.readline())
        yield f"http://127.0.0.1:{port}"
        os.kill(pid, signal.SIGKILL)
        process.kill()


def test_both_engines_find_the_same(gallery: Gallery, uri: str) -> None:
    address = MilvusAddress(uri, "contract")
    store = MilvusStore(address, "model-a", "default")
    assert len(store) == 0
    for first, last in ((0, 20), (10, 60)):
        store.put(gallery.store.rows([f"item-{i}" for i in range(first, last)]))
    there = Gallery(MilvusStore(address))
    assert (there.store.model_name, there.dim, len(there)) == ("default", 12, 60)
    assert there.store.vector_counts == {"image": 60, "text": 60}
    query = np.random.default_rng(1).normal(size=12)
    for target in ("image", "text"):
        assert there.search(query, 60, target) == gallery.search(query, 60, target)
        assert there.search(query, 5, target, 7) == gallery.search(query, 5, target, 7)
    for where in (
        "label = 'class-1'",
        "label <> 'class-1'",
        "NOT (label = 'class-1' AND year > 2003)",
        "year >= 2005 AND path IS NULL",
        "path IS NOT NULL AND (year < 2003 OR label IN ('class-1', 'class-2'))",
        "year NOT BETWEEN 2002 AND 2006",
        "label LIKE 'class%'",
        "modality = 'pair'",
        "modality = 'text'",
    ):
        assert there.search(query, 60, where=where) == gallery.search(query, 60, where=where), where
        found = there.store.table(Where(where))
        assert len(found) == len(gallery.search(query, 60, where=where))
    with pytest.raises(QueryError, match="a beginning"):
        there.search(query, where="label LIKE '%1'")
    assert there.remove(["item-3", "nobody"], where="year = 2008") == 7
    assert gallery.remove(["item-3", "nobody"], where="year = 2008") == 7
    assert there.search(query, 60) == gallery.search(query, 60)
    assert sorted(there.items["id"].to_pylist()) == sorted(gallery.items["id"].to_pylist())
    with pytest.raises(ModelFormatError, match="'model-a', not of 'model-b'"):
        MilvusStore(address, "model-b")


def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmr_hub.gallery.milvus._TRIES", 1)
    with pytest.raises(CMRError, match=r"Milvus at http://127\.0\.0\.1:1"):
        MilvusStore(MilvusAddress("http://127.0.0.1:1"), "m")
