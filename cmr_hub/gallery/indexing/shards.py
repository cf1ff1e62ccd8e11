"""WebDataset shards: tar files in which the members of a sample share a name without extension.

The format is described at https://github.com/webdataset/webdataset. The reader of that library
streams samples for training. Indexing needs the offsets of pictures instead, because other
processes decode them.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cmr_hub.datasets.metadata import IMAGE_ENDINGS, Annotations, is_clean
from cmr_hub.datasets.report import ReadReport
from cmr_hub.datasets.tars import DAMAGED, open_tar
from cmr_hub.datasets.text import MAX_TEXT_BYTES, decode_text, split_lines
from cmr_hub.gallery.indexing.annotations import annotations_of, json_record
from cmr_hub.gallery.indexing.entry import Entry, Place
from cmr_hub.outside import check_file

if TYPE_CHECKING:
    import tarfile

_TEXTS = (".txt", ".json", ".cls")
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")  # gzip, bzip2, xz, zstd


def shard_entries(shard: Path, folder: str, modified: int, report: ReadReport) -> Iterator[Entry]:
    """Yield the pictures of a shard with their annotations from `.txt`, `.json` and `.cls`.

    The picture of the sample `a` is `a.jpg`, or if it does not exist, `a.left.jpg`, `a.right.jpg`
    and so on. The text of `a.left.jpg` is `a.left.txt`, or else `a.txt`, or else a text of the
    sample that does not belong to another picture. The tar file must not be compressed. If it is
    damaged, the pictures before the damage are used.
    """
    try:
        if _is_compressed(shard):
            report.add("unread format", shard, "it is compressed: unpack it to a .tar file")
            return
        with open_tar(shard) as tar:
            for sample in _samples(tar, shard, report):
                names = [name for name in sample if name.endswith(IMAGE_ENDINGS)]
                if not names:
                    report.add("missing image", f"{shard}/{next(iter(sample.values())).name}")
                for name in [ending for ending in IMAGE_ENDINGS if ending in sample][:1] or names:
                    others = {_stem(other) for other in names if other != name}
                    texts = {
                        text: sample[ending]
                        for text in _TEXTS
                        if (ending := _text_of(name, text, sample, others)) is not None
                    }
                    picture = sample[name]
                    path = shard / picture.name
                    place = Place(shard, picture.offset_data, picture.size)
                    own = _annotations(tar, f"{shard}/{picture.name}", texts, report)
                    yield Entry(
                        path,
                        place,
                        picture.size,
                        modified,
                        folder,
                        own.sentences,
                        own.label,
                        own.metadata,
                    )
    except DAMAGED as error:
        report.add("damaged record", shard, f"not a complete tar file: {error}")


def _samples(
    tar: tarfile.TarFile, shard: Path, report: ReadReport
) -> Iterator[dict[str, tarfile.TarInfo]]:
    """Yield the members of each sample by extension."""
    sample: dict[str, tarfile.TarInfo] = {}
    key = ""
    for member in tar:
        if not member.isfile() or PurePosixPath(member.name).name.startswith("."):
            continue
        if not _is_safe(member.name):
            report.add("unsafe path", f"{shard}/{member.name}", "leads out of the shard")
            continue
        stem, ending = _split(member.name)
        if stem != key:
            if sample:
                yield sample
            sample, key = {}, stem
        sample[ending] = member
    if sample:
        yield sample


def _text_of(
    name: str, text: str, sample: Mapping[str, tarfile.TarInfo], others: Container[str]
) -> str | None:
    """Return the extension of the text of a picture, or None if there is no text."""
    found = (ending for ending in sample if ending.endswith(text) and _stem(ending) not in others)
    return next((e for e in (f"{_stem(name)}{text}", text) if e in sample), next(found, None))


def _stem(ending: str) -> str:
    return ending.rpartition(".")[0]


def _annotations(
    tar: tarfile.TarFile, where: str, members: Mapping[str, tarfile.TarInfo], report: ReadReport
) -> Annotations:
    texts = {
        ending: decode_text(file.read(), where, report)
        for ending, member in members.items()
        if member.size <= MAX_TEXT_BYTES and (file := tar.extractfile(member)) is not None
    }
    record = json_record(texts[".json"], where, report) if ".json" in texts else {}
    if ".txt" in texts:
        record["captions"] = list(split_lines(texts[".txt"]))
    if ".cls" in texts:
        record["label"] = texts[".cls"].strip()
    return annotations_of(record, where, report)


def _split(name: str) -> tuple[str, str]:
    """Split `a/0001.seg.png` into the sample `a/0001` and the extension `.seg.png`."""
    path = PurePosixPath(name)
    stem, dot, ending = path.name.partition(".")
    return str(path.parent / stem), f"{dot}{ending}".lower()


def _is_compressed(shard: Path) -> bool:
    check_file(shard)
    with shard.open("rb") as file:
        return file.read(6).startswith(_COMPRESSED)


def _is_safe(name: str) -> bool:
    path = PurePosixPath(name)
    return is_clean(name) and not path.is_absolute() and ".." not in path.parts
