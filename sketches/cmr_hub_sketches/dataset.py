"""The dataset of sketches, which are drawn into the cache when first read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from cmr_hub.atomic import atomic_file, storing
from cmr_hub.cache_home import default_cache_home
from cmr_hub.checksums import sha256_of_file
from cmr_hub.datasets.folder import PROTOCOL, read_folder
from cmr_hub.datasets.pairs import PairDataset
from cmr_hub.datasets.protocols import SPLITS
from cmr_hub.errors import UnknownNameError
from cmr_hub.types import JSONObject
from cmr_hub_sketches.grammar import sentences
from cmr_hub_sketches.painter import file_name, paint_missing, split_scene

NAME = "sketches"
METADATA = "metadata.jsonl"
HOME_PAGE = "cmr_hub_sketches"


def read(root: str | Path | None = None, protocol: str = "4000/1000") -> PairDataset:
    """Draw missing pictures and read the dataset.

    Protocols: `<train>/<test>` or `<train>/<validation>/<test>`, as numbers of pictures. The first
    pictures of a split do not depend on its size, and no two splits share a seed.

    The pictures are stored in `<root>/<edition>/<split>/`, with captions, label and ground truth in
    `metadata.jsonl`, as an ImageFolder. `root` is `sketches` in the cache by default; the edition
    is a hash of the drawing code, so that outdated pictures are never used. An interrupted run is
    resumed. The checksums are stored in `<root>/<edition>-<split>.sha256`, in the format of
    `sha256sum`; pictures that do not match are drawn again.

    Raises UnknownNameError, StorageError and OSError (a picture cannot be drawn).
    """
    sizes = split_sizes(protocol)
    base = (Path(root) if root is not None else default_cache_home() / NAME).expanduser()
    base = base.absolute() / edition()
    for split, count in sizes.items():
        _complete(base / split, split, count)
    whole = read_folder(NAME, base, PROTOCOL, HOME_PAGE)
    wanted = {f"{split}/{file_name(n)}" for split, count in sizes.items() for n in range(count)}
    asked = whole.subset(np.array([item in wanted for item in whole.ids], dtype=bool))
    return replace(asked, protocol=protocol)


def split_sizes(protocol: str) -> dict[str, int]:
    """Return the number of pictures of each split. Raises UnknownNameError."""
    numbers = [int(part) for part in protocol.split("/")] if _is_sizes(protocol) else []
    if not any(numbers):
        known = ["4000/1000", "<train>/<test>", "<train>/<validation>/<test>"]
        raise UnknownNameError(f"protocol of {NAME}", protocol, known)
    splits = SPLITS if len(numbers) == len(SPLITS) else ("train", "test")
    return {split: count for split, count in zip(splits, numbers, strict=True) if count}


def _is_sizes(protocol: str) -> bool:
    return re.fullmatch(r"[0-9]{1,6}(/[0-9]{1,6}){1,2}", protocol) is not None


@cache
def edition() -> str:
    """Return a hash of the drawing code, its vocabulary and the version of the renderer."""
    digest = hashlib.sha256(version("resvg_py").encode())
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).as_posix()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def record(split: str, number: int) -> JSONObject:
    """Return a row of the metadata: file, captions, label, seed and ground truth."""
    scene = split_scene(split, number)
    return {
        "file_name": file_name(number),
        "captions": list(sentences(scene)),
        "label": scene.label,
        "seed": scene.seed,
        "truth": scene.truth(),
    }


def _complete(folder: Path, split: str, count: int) -> None:
    """Write missing pictures, then the metadata, then the checksums, so that all of them exist."""
    listed = folder.parent.with_name(f"{folder.parent.name}-{split}.sha256")
    known = _checksums(listed)
    names = [METADATA, *(file_name(number) for number in range(count))]
    _remove_damaged([folder / name for name in names if name in known], known)
    paint_missing(folder, split, count)
    metadata = folder / METADATA
    lines_written = len(metadata.read_bytes().splitlines()) if metadata.is_file() else 0
    if lines_written < count:
        known.pop(METADATA, None)
        with atomic_file(metadata) as temporary, temporary.open("w", encoding="utf-8") as file:
            for number in range(max(count, len(known))):
                json.dump(record(split, number), file)
                file.write("\n")
    fresh = {name: sha256_of_file(folder / name) for name in names if name not in known}
    if fresh:
        lines = [f"{sha256}  {name}\n" for name, sha256 in sorted((known | fresh).items())]
        with atomic_file(listed) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")


def _checksums(listed: Path) -> dict[str, str]:
    """Read SHA-256 checksums by file name, ignoring damaged lines."""
    text = listed.read_text(encoding="utf-8", errors="replace") if listed.is_file() else ""
    found = [
        re.fullmatch(r"([0-9a-f]{64})  ([0-9]{6}\.jpg|metadata\.jsonl)", line)
        for line in text.splitlines()
    ]
    return {match[2]: match[1] for match in found if match}


def _remove_damaged(files: Sequence[Path], known: dict[str, str]) -> None:
    """Remove files that do not match their checksums, and the checksums."""
    for file in files:
        if not file.is_file() or sha256_of_file(file) != known[file.name]:
            with storing(file):
                file.unlink(missing_ok=True)
            del known[file.name]
