"""Datasets of the Hub, from a server on this machine."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_repository import Repository
from hub_server import HubServer
from pictures import picture

from cmr_hub.errors import DataFormatError, HubError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing.hub import fetch_dataset, unpack_pictures
from cmr_hub.gallery.indexing.index import index_folder


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    import huggingface_hub.constants as constants

    hub = HubServer()
    for name, value in {
        "ENDPOINT": hub.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_TELEMETRY": True,
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setenv("CMR_CACHE_HOME", str(tmp_path / "cache"))
    yield hub
    hub.shutdown()


def push(server: HubServer, folder: Path, branch: str = "main") -> str:
    repository = server.repositories.setdefault(("dataset", "user/pets"), Repository())
    return repository.commit(
        branch,
        {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
    )


def test_a_folder_of_the_hub_and_its_next_revision(server, model, folder, tmp_path) -> None:
    shutil.rmtree(folder / ".hidden")
    first = push(server, folder)
    gallery = Gallery.create(tmp_path / "g", model)
    assert index_folder(gallery, fetch_dataset("user/pets")).added == 9
    requests = len(server.requests)
    assert index_folder(gallery, fetch_dataset(f"user/pets@{first}")).unchanged == 9
    assert not any("cdn" in request for request in server.requests[requests:])
    (folder / "plain0.png").unlink()
    shutil.rmtree(folder / "sub")
    picture(folder / "new.png", 77)
    push(server, folder)
    # A revision is complete, as `cmr index hf:...` knows: no drive can be missing.
    summary = index_folder(gallery, fetch_dataset("user/pets@main"), prune=True)
    assert (summary.unchanged, summary.added, summary.removed) == (6, 1, 3)
    assert index_folder(gallery, fetch_dataset(f"user/pets@{first}")).added == 3


def parquet(path: Path, seeds: range) -> None:
    rows = [
        {
            "image": {"bytes": picture(path.parent / "x.png", seed).read_bytes(), "path": None},
            "label": seed % 2,
            "caption": f"the sea {seed}",
            "year": 2000 + seed,
        }
        for seed in seeds
    ]
    (path.parent / "x.png").unlink()
    rows[0]["image"] = None
    features = {
        "image": {"_type": "Image"},
        "label": {"names": ["cat", "dog"], "_type": "ClassLabel"},
    }
    table = pa.Table.from_pylist(rows)
    note = json.dumps({"info": {"features": features}})
    pq.write_table(table.replace_schema_metadata({"huggingface": note}), path)


def test_pictures_in_parquet_files(server, model, tmp_path) -> None:
    source = tmp_path / "source"
    (source / "data").mkdir(parents=True)
    parquet(source / "data" / "train-0.parquet", range(4))
    parquet(source / "data" / "test-0.parquet", range(10, 13))
    (source / "README.md").write_text("pets")
    push(server, source)
    gallery = Gallery.create(tmp_path / "g", model)
    base = fetch_dataset("user/pets")
    assert index_folder(gallery, base).added == 3 + 2
    rows = {Path(row["path"]).relative_to(base): row for row in gallery.items.to_pylist()}
    row = rows[Path("data/train-0/0000003.jpg")]
    assert (row["label"], row["year"], row["sentences"]) == ("dog", 2003, ["the sea 3"])
    before = base.stat().st_mtime_ns
    assert index_folder(gallery, fetch_dataset("user/pets")).unchanged == 5
    assert base.stat().st_mtime_ns == before
    parquet(source / "data" / "train-0.parquet", range(5))
    push(server, source)
    summary = index_folder(gallery, fetch_dataset("user/pets"))
    assert (summary.added, summary.updated, len(gallery)) == (1, 5, 6)
    (source / "data" / "test-0.parquet").write_bytes(b"PAR1 and no more")
    push(server, source)
    with pytest.raises(DataFormatError, match="test-0"):
        fetch_dataset("user/pets")


def test_bytes_beside_a_picture_are_no_metadata(tmp_path, caplog) -> None:
    data = picture(tmp_path / "x.png", 1).read_bytes()
    row = {"image": {"bytes": data, "path": "x.png"}, "mask": {"bytes": data, "path": None}}
    row |= {"thumbnails": [data], "raw": data, "tags": ["a", "b"]}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "train.parquet")
    base = unpack_pictures(tmp_path, tmp_path / "unpacked", "r")
    record = json.loads((base / "train" / "metadata.jsonl").read_text())
    assert record == {"file_name": "0000000.png", "tags": ["a", "b"]}
    assert "are skipped: ['mask', 'thumbnails', 'raw']" in caplog.text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("user/nobody", "there is no repository user/nobody"),
        ("user/pets@nowhere", "has no such revision"),
        ("a/b/c", "cannot be the name of a repository"),
    ],
)
def test_what_is_not_there(server, folder, name, message) -> None:
    push(server, folder)
    with pytest.raises(HubError, match=message):
        fetch_dataset(name)


def test_a_hub_that_does_not_answer_is_told(server, monkeypatch) -> None:
    monkeypatch.setattr("cmr_hub.hub_errors.WAITS", (0.0,))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match="the connection to the Hub failed"):
        fetch_dataset("user/pets")
