"""Whatever lies in a dataset's folder: a value or a CMRError; see `damage.attack`."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io
from damage import Target, as_json, attack, read_whole
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cmr_hub.datasets import FeatureDataset, PairDataset, load_dataset
from cmr_hub.datasets.images import read_file, read_image
from cmr_hub.datasets.report import ReadReport
from cmr_hub.datasets.wikipedia import LISTS, _read_paragraphs, read_lists
from cmr_hub.datasets.wikipedia_features import _read_matrices
from cmr_hub.gallery.indexing.exclude import Excluded
from cmr_hub.gallery.indexing.folder import folder_entries
from cmr_hub.gallery.indexing.hub import unpack_pictures


def picture(kind: str, mode: str = "RGB", **options: object) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 11, len(mode)), np.uint8).squeeze()
    image = Image.fromarray(pixels.astype(np.uint16) if mode == "I" else pixels)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


EXIF = Image.Exif()
EXIF[0x0112] = 6
PICTURES = {
    "rgba.png": picture("PNG", "RGBA"),
    "deep.png": picture("PNG", "I"),
    "turned.jpg": picture("JPEG", exif=EXIF),
    "moving.gif": picture("GIF", "L", save_all=True, append_images=[Image.new("L", (11, 9), 7)]),
    "packed.tif": picture("TIFF", compression="tiff_lzw"),
    "jpeg.tif": picture("TIFF", compression="jpeg"),
    "lossy.webp": picture("WEBP"),
    "plain.bmp": picture("BMP"),
}


def of_picture(name: str) -> Target:
    def read(folder: Path) -> None:
        image = read_image(folder / name)
        assert image.mode == "RGB"
        assert image.width * image.height

    return Target({name: PICTURES[name]}, read)


def parquet(columns: dict[str, object], **options: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **options)
    return file.getvalue()


RECORDS = [
    {"file_name": "a.png", "captions": ["one", "two"], "label": "x", "year": 2008},
    {"file_name": "sub/b.png", "text": "three", "label": 3},
]
COLUMNS = {
    "file_name": ["a.png", "sub/b.png"],
    "captions": [["one", "two"], ["three"]],
    "label": ["x", "y"],
}
TABLES = {
    "metadata.jsonl": b"\n".join(map(as_json, RECORDS)),
    "metadata.csv": b'file_name,text,label\na.png,"one, two",x\nsub/b.png,three,y\n',
    "metadata.parquet": parquet(COLUMNS),
}
WORDS = {"a.png": PICTURES["rgba.png"], "sub/b.png": PICTURES["deep.png"]}


def json_lines(value: list[object]) -> bytes:
    return b"\n".join(map(as_json, value)) if isinstance(value, list) else as_json(value)


def of_table(name: str) -> Target:
    def read(folder: Path) -> None:
        dataset = load_dataset("folder", folder, check_images=False)
        assert all(path is None or path.is_relative_to(folder) for path in dataset.images)

    changes = {name: (RECORDS, json_lines)} if name.endswith("jsonl") else {}
    return Target({**WORDS, name: TABLES[name]}, read, changes, attacked=(name,))


def of_folder() -> Target:
    """What lies beside pictures, and a tar file of pictures."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in {
            "0.png": PICTURES["rgba.png"],
            "0.json": as_json(RECORDS[0]),
            "1.jpg": PICTURES["turned.jpg"],
            "1.txt": b"a sentence",
            "1.cls": b"4",
            "é" * 60 + ".png": PICTURES["rgba.png"],
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))

    def read(folder: Path) -> None:
        for entry in folder_entries(folder, ReadReport(), Excluded((), folder)):
            assert entry.path.is_relative_to(folder)
            with suppress(OSError):
                read_file(entry.path)

    files = {
        "a.png": PICTURES["rgba.png"],
        "a.json": as_json(RECORDS[0]),
        "b.jpg": PICTURES["turned.jpg"],
        "b.txt": b"a sentence\nanother",
        "shard.tar": file.getvalue(),
    }
    changes = {"a.json": (RECORDS[0], as_json)}
    return Target(files, read, changes, attacked=("a.json", "b.txt", "shard.tar", "shard.tar"))


def of_hub_dataset() -> Target:
    table = pa.table(
        {
            "image": [{"bytes": PICTURES["rgba.png"], "path": "x/a.png"}],
            "label": [1],
            "day": pa.array([12_000], pa.date32()),
        }
    )
    features = {"label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}
    told = json.dumps({"info": {"features": features}})
    file = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"huggingface": told}), file)

    def read(folder: Path) -> None:
        target = unpack_pictures(folder / "data", folder / "out", "revision")
        assert (target / ".revision").is_file() or target == folder / "data"

    return Target({"data/train.parquet": file.getvalue()}, read)


def of_paragraphs() -> Target:
    document = (
        '<?xml version="1.0" encoding="utf-8"?><document><title>x</title><text>One &amp; two\n\n'
        "three &#233; four</text><imageset/></document>"
    )

    def read(folder: Path) -> None:
        assert all(_read_paragraphs(folder / "t.xml", ReadReport()))

    return Target({"t.xml": document.encode()}, read)


def of_lists() -> Target:
    def lines(start: int, stop: int) -> bytes:
        rows = (f"{n:032x}-1\t{n + 9000:032x}\t{n % 10 + 1}\n" for n in range(start, stop))
        return "".join(rows).encode()

    categories = "".join(f"c{n}\n" for n in range(10)).encode()
    files = dict(zip(LISTS, (lines(0, 2173), lines(2173, 2866), categories), strict=True))
    return Target(files, read_lists)


def matrices(**options: object) -> bytes:
    generator = np.random.default_rng(0)
    found = {
        name: generator.random((rows, 3)).astype(np.float32)
        for name, rows in (("I_tr", 2173), ("I_te", 693), ("T_tr", 2173), ("T_te", 693))
    }
    file = io.BytesIO()
    scipy.io.savemat(file, found, **options)
    return file.getvalue()


def of_matrices(**options: object) -> Target:
    def read(folder: Path) -> None:
        found = _read_matrices(folder / "raw.mat", ("I_tr", "I_te", "T_tr", "T_te"))
        assert [len(rows) for rows in found] == [2173, 693, 2173, 693]
        assert all(np.isfinite(rows).all() for rows in found)

    return Target({"raw.mat": matrices(**options)}, read)


KINDS = (".npz", ".npy", ".mat", ".parquet")
FEATURES = {
    "images": np.eye(6, 4, dtype=np.float32),
    "texts": np.ones((6, 3)),
    "labels": np.tile([[1, 0], [1, 1]], (3, 1)),
    "split": np.array(["train", "val", "test"] * 2),
}


def of_features(kind: str) -> Target:
    def content(**arrays: np.ndarray) -> bytes:
        file = io.BytesIO()
        match kind:
            case ".npz":
                np.savez_compressed(file, **arrays)
            case ".mat":
                scipy.io.savemat(file, arrays, do_compression=True)
            case ".npy":
                np.save(file, *arrays.values())
        return file.getvalue()

    files = (
        {f"mine{kind}": content(**FEATURES)}
        if kind != ".npy"
        else {f"{name}.npy": content(**{name: array}) for name, array in FEATURES.items()}
    )
    if kind == ".parquet":
        files = {"mine.parquet": parquet({name: list(rows) for name, rows in FEATURES.items()})}
    if kind == ".mat":
        without_split = {name: rows for name, rows in FEATURES.items() if name != "split"}
        files = {"mine.mat": content(**without_split)}

    def read(folder: Path) -> None:
        dataset = load_dataset("features", folder)
        assert isinstance(dataset, FeatureDataset)
        assert np.isfinite(dataset.image_features).all()

    return Target(files, read)


def of_karpathy() -> Target:
    table = {"images": [{"filename": "a.png", "split": "val", "sentences": [{"raw": "one"}]}]}

    def read(folder: Path) -> None:
        dataset = load_dataset("coco", folder, check_images=False)
        assert isinstance(dataset, PairDataset)
        assert all(path is not None and path.is_relative_to(folder) for path in dataset.images)

    files = {**WORDS, "dataset_coco.json": as_json(table)}
    changes = {"dataset_coco.json": (table, as_json)}
    return Target(files, read, changes, attacked=("dataset_coco.json",))


TARGETS: dict[str, Callable[[], Target]] = {
    **{name: (lambda name=name: of_picture(name)) for name in PICTURES},
    **{name: (lambda name=name: of_table(name)) for name in TABLES},
    "folder of pictures": of_folder,
    "dataset of the Hub": of_hub_dataset,
    "wikipedia text": of_paragraphs,
    "wikipedia lists": of_lists,
    **{f"features {kind}": (lambda kind=kind: of_features(kind)) for kind in KINDS},
    "karpathy": of_karpathy,
    "plain .mat": of_matrices,
    "packed .mat": lambda: of_matrices(do_compression=True),
    ".mat of version 4": lambda: of_matrices(format="4"),
}


@pytest.mark.parametrize("name", TARGETS)
def test_whole_files_are_read(name: str) -> None:
    read_whole(target(name))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
def test_any_bytes(name: str, data: st.DataObject) -> None:
    attack(target(name), data)


@cache
def target(name: str) -> Target:
    return TARGETS[name]()
