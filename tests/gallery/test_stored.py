"""Galleries whose files are not what they should be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from cmr_hub.checksums import sha256_of_file
from cmr_hub.errors import ModelFormatError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.manifest import Manifest

KINDS = ("vectors", "items", "manifest")


@pytest.fixture
def saved(gallery: Gallery, tmp_path: Path) -> Path:
    gallery.save(tmp_path / "g")
    return tmp_path / "g"


def file_of(folder: Path, kind: str) -> Path:
    (path,) = folder.glob(f"{kind}*")
    return path


def read_all(folder: Path) -> None:
    Gallery.open(folder).store.verify()


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_file_is_named(saved: Path, kind: str) -> None:
    path = file_of(saved, kind)
    path.unlink()
    with pytest.raises(ModelFormatError, match=path.name):
        Gallery.open(saved)


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file_is_named(saved: Path, kind: str) -> None:
    path = file_of(saved, kind)
    whole = path.read_bytes()
    # Not the manifest's last newline: JSON is whole without it.
    for length in (0, 1, len(whole) // 2, len(whole) - 2):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFormatError, match=path.name):
            Gallery.open(saved)


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_named(saved: Path, kind: str) -> None:
    path = file_of(saved, kind)
    whole = path.read_bytes()
    for place in np.linspace(0, len(whole) - 1, 60).astype(int):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ModelFormatError, match=path.name):
            Gallery.open(saved)


def test_a_large_file_is_read_whole_only_by_verify(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cmr_hub.gallery.manifest.CHECKED_WHOLE", 100)
    path = file_of(saved, "vectors")
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    gallery = Gallery.open(saved)
    with pytest.raises(ModelFormatError, match=path.name):
        gallery.store.verify()


def resign(folder: Path, **changes: Any) -> None:
    """Writes the manifest anew, with right checksums, so that only the content is wrong."""
    content = json.loads((folder / "manifest.json").read_text())
    content.pop("sha256")
    for name in content["files"]:
        path = folder / name
        content["files"][name] = {"sha256": sha256_of_file(path), "bytes": path.stat().st_size}
    write(folder, {**content, **changes})


def write(folder: Path, content: dict[str, Any]) -> None:
    class Plain(Manifest):
        def model_dump(self, **_: Any) -> dict[str, Any]:
            return dict(content)

    Plain.model_construct().write(folder)


def drop_text_vectors(folder: Path) -> None:
    path = file_of(folder, "vectors")
    save_file({"image": load_file(path)["image"]}, path)
    resign(folder)


def drop_a_row_of_vectors(folder: Path) -> None:
    path = file_of(folder, "vectors")
    save_file({name: rows[1:] for name, rows in load_file(path).items()}, path)
    resign(folder)


def another_tensor(folder: Path) -> None:
    path = file_of(folder, "vectors")
    save_file({**load_file(path), "sound": np.ones((60, 12), np.float32)}, path)
    resign(folder)


def not_safetensors(folder: Path) -> None:
    file_of(folder, "vectors").write_bytes(b"\x00" * 100)
    resign(folder)


def drop_a_column(folder: Path) -> None:
    path = file_of(folder, "items")
    pq.write_table(pq.read_table(path).drop_columns(["path"]), path)
    resign(folder)


def drop_an_item(folder: Path) -> None:
    path = file_of(folder, "items")
    pq.write_table(pq.read_table(path).slice(1), path)
    resign(folder)


def not_parquet(folder: Path) -> None:
    file_of(folder, "items").write_bytes(b"PAR1" + b"\x00" * 100 + b"PAR1")
    resign(folder)


def segment_without(key: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = json.loads((folder / "manifest.json").read_text())
        (segment,) = content["segments"]
        resign(folder, segments=[{**segment, key: None}])

    return change


def climb_out(folder: Path) -> None:
    content = json.loads((folder / "manifest.json").read_text())
    resign(folder, files={**content["files"], "../secret.parquet": None})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (drop_text_vectors, r"vectors: .* but the manifest"),
        (drop_a_row_of_vectors, "59 image vectors for"),
        (another_tensor, "unknown modality sound"),
        (not_safetensors, r"vectors-.*safetensors is damaged"),
        (drop_a_column, r"items-.*parquet: .*path"),
        (drop_an_item, r"items-.*parquet: 59 rows, but the manifest has 60"),
        (not_parquet, r"items-.*parquet"),
        (lambda folder: resign(folder, dim=11), r"dimensions: .12., but the manifest has .11."),
        (lambda folder: resign(folder, count=11), "rows: 60, but the manifest has 11"),
        (lambda folder: resign(folder, format_version=3), "format version 3, this .* up to 2"),
        (segment_without("root"), r"items-.*parquet: .*no root folder"),
        (segment_without("items"), "manifest.json is not the manifest"),
        (climb_out, "manifest.json is not the manifest"),
        (lambda folder: resign(folder, vectors={"sound": 1}), "manifest.json is not the manifest"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "not a JSON object"),
    ],
)
def test_content_that_contradicts_itself(
    saved: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(saved)
    with pytest.raises(ModelFormatError, match=message):
        read_all(saved)


def test_a_key_missing_from_the_manifest_is_named(saved: Path) -> None:
    content = json.loads((saved / "manifest.json").read_text())
    for key in content:
        if key not in ("sha256", "format_version"):
            write(saved, {k: v for k, v in content.items() if k not in (key, "sha256")})
            with pytest.raises(ModelFormatError, match=f"manifest(?s:.*){key}"):
                Gallery.open(saved)


def test_a_gallery_of_format_1_is_read_and_written_anew(gallery: Gallery, tmp_path: Path) -> None:
    folder = tmp_path / "g"
    gallery.save(tmp_path / "new")
    (items, vectors) = (file_of(tmp_path / "new", kind) for kind in ("items", "vectors"))
    folder.mkdir()
    items.rename(folder / "items.parquet")
    vectors.rename(folder / "embeddings.safetensors")
    names = ("embeddings.safetensors", "items.parquet")
    content = {
        "format_version": 1,
        "model_id": "model-a",
        "dim": 12,
        "count": 60,
        "targets": ["image", "text"],
        "root": "/data",
        "files": {name: sha256_of_file(folder / name) for name in names},
    }
    write(folder, content)
    old = Gallery.open(folder)
    assert old.items.equals(gallery.items)
    assert old.remove(["item-3"]) == 1
    again = Gallery.open(folder)
    assert len(again) == 59
    assert json.loads((folder / "manifest.json").read_text())["format_version"] == 2


def test_only_listed_files_are_opened(saved: Path, tmp_path: Path) -> None:
    """A path in the place of a file's name would be opened wherever it leads."""
    outside = tmp_path / "outside.parquet"
    file_of(saved, "items").rename(outside)
    content = json.loads((saved / "manifest.json").read_text())
    del content["sha256"]
    content["files"].pop(content["segments"][0]["items"])
    for name in (str(outside), "../outside.parquet"):
        content["segments"][0]["items"] = name
        write(saved, content)
        with pytest.raises(ModelFormatError, match="has no checksum"):
            Gallery.open(saved)


def test_items_that_unpack_without_end_are_refused(saved: Path) -> None:
    items = pq.read_table(file_of(saved, "items"))
    text = pa.DictionaryArray.from_arrays(
        pa.array([0] * len(items), pa.int32()), pa.array(["x" * 8_000_000])
    )
    table = items.append_column("text", text)
    pq.write_table(table, file_of(saved, "items"), store_schema=False)
    resign(saved)
    gallery = Gallery.open(saved)
    with pytest.raises(ModelFormatError, match="unpacks to more than"):
        gallery.search(np.ones(12))


def test_a_manifest_that_is_a_folder_is_an_error(saved: Path) -> None:
    (saved / "manifest.json").unlink()
    (saved / "manifest.json").mkdir()
    with pytest.raises(ModelFormatError, match="is damaged"):
        Manifest.read(saved)
