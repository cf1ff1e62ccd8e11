"""Wikipedia: 2866 sections of featured articles with one picture each, in ten categories.

N. Rasiwasia et al.: A new approach to cross-modal multimedia retrieval. ACM Multimedia, 2010.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

import numpy as np

from cmr_hub.datasets.location import find_dataset, not_found
from cmr_hub.datasets.pairs import PairDataset
from cmr_hub.datasets.protocols import SPLITS, SplitArray
from cmr_hub.datasets.report import ReadReport
from cmr_hub.datasets.text import read_text, split_lines, split_paragraphs
from cmr_hub.errors import DataFormatError, UnknownNameError, shown
from cmr_hub.types import IntArray

NAME = "wikipedia"
HOME_PAGE = "http://www.svcl.ucsd.edu/projects/crossmodal/"
LISTS = ("trainset_txt_img_cat.list", "testset_txt_img_cat.list", "categories.list")
LAYOUT = f"images/<category>/<id>.jpg, texts/<id>.xml, {', '.join(LISTS)}"
TRAIN_SIZE, TEST_SIZE = 2173, 693
PROTOCOLS = {"2173/693": (2173, 0, 693), "2173/231/462": (2173, 231, 462)}
"""Sizes of train, validation and test; the first 231 items of the test list may be validation."""


@dataclass(frozen=True)
class Lists:
    """The 2173 pairs of the training list, followed by the 693 pairs of the test list."""

    texts: tuple[str, ...]
    images: tuple[str, ...]
    labels: IntArray
    classes: tuple[str, ...]


def protocol_splits(protocol: str) -> SplitArray:
    """Return (2866,) splits in the order of the lists. Raises UnknownNameError."""
    if protocol not in PROTOCOLS:
        raise UnknownNameError("protocol of wikipedia", protocol, list(PROTOCOLS))
    return np.repeat(np.array(SPLITS), PROTOCOLS[protocol])


def read_lists(base: Path) -> Lists:
    """Read the three list files. Raises DataFormatError on any damage."""
    classes = tuple(_lines(base / LISTS[2]))
    rows = []
    for name, size in zip(LISTS, (TRAIN_SIZE, TEST_SIZE), strict=False):
        lines = _lines(base / name)
        if len(lines) != size:
            raise DataFormatError(
                f"{base / name} has {len(lines)} lines, not {size}: download it again"
            )
        rows += [_row(line, base / name, number) for number, line in enumerate(lines, start=1)]
    texts, images, categories = zip(*rows, strict=True)
    for ids, kind in ((texts, "text"), (images, "image")):
        if len(set(ids)) < len(ids):
            raise DataFormatError(f"{base}: the lists name the same {kind} twice")
    labels = np.array(categories, dtype=np.int64) - 1
    if labels.min() < 0 or labels.max() >= len(classes):
        raise DataFormatError(
            f"{base}: the lists have categories {labels.min() + 1}..{labels.max() + 1}, but "
            f"{LISTS[2]} has {len(classes)}"
        )
    return Lists(texts, images, labels, classes)


def read(root: str | Path | None = None, protocol: str = "2173/693") -> PairDataset:
    """Read the pictures and texts from `root` or `$CMR_DATA_HOME/wikipedia`.

    `images/` and `texts/` may also be in the subfolder `sample/`. The sentences of an item are the
    paragraphs of its text, and its id is the id of the text. Missing files are reported and their
    items dropped; the other items keep their splits.

    Raises DataNotFoundError, DataFormatError (damaged lists) and UnknownNameError.
    """
    splits = protocol_splits(protocol)
    base = find_dataset(NAME, NAME, root, layout=LAYOUT, home_page=HOME_PAGE, required=LISTS)
    lists = read_lists(base)
    raw = _raw_folder(base)
    report = ReadReport()

    categories = [lists.classes[label] for label in lists.labels]
    images = [
        raw / "images" / category / f"{image}.jpg"
        for category, image in zip(categories, lists.images, strict=True)
    ]
    texts = [raw / "texts" / f"{text}.xml" for text in lists.texts]
    on_disk = {*raw.glob("images/*/*"), *raw.glob("texts/*")}
    for path in sorted(on_disk.difference(images, texts)):
        report.add("unlisted file", path)
    for path in sorted(raw.glob("images/*")):
        if path.name not in lists.classes or not path.is_dir():
            report.add("unexpected file", path, "not the folder of a category")

    rows, sentences = [], []
    for row, (image, text) in enumerate(zip(images, texts, strict=True)):
        if image not in on_disk and text not in on_disk:
            report.add("missing pair", text, f"and {image.name}")
        elif image not in on_disk:
            report.add("missing image", image)
        elif text not in on_disk:
            report.add("missing text", text)
        elif paragraphs := _read_paragraphs(text, report):
            rows.append(row)
            sentences.append(paragraphs)
    if not rows:
        reason = f"{raw} contains no complete pair\n{report.summary()}"
        raise not_found(NAME, reason, LAYOUT, HOME_PAGE)
    return PairDataset(
        name=NAME,
        protocol=protocol,
        ids=tuple(lists.texts[row] for row in rows),
        images=tuple(images[row] for row in rows),
        sentences=tuple(sentences),
        labels=lists.labels[rows],
        classes=lists.classes,
        splits=splits[rows],
        report=report,
    )


def _lines(path: Path) -> tuple[str, ...]:
    report = ReadReport()
    text = read_text(path, report)
    if text is None or len(report):
        raise DataFormatError(f"cannot read {path}: {next(iter(report)).detail}")
    return split_lines(text)


def _row(line: str, path: Path, number: int) -> tuple[str, str, int]:
    # The ids are used as file names, so they must not lead out of the folder.
    match = re.fullmatch(r"([0-9a-f]{32}-[0-9.]+)\t([0-9a-f]{32})\t([0-9]{1,3})", line)
    if not match:
        raise DataFormatError(
            f"{path}, line {number}: expected text id, image id and category number, separated by "
            f"tabs, not {shown(line)}"
        )
    return match[1], match[2], int(match[3])


def _raw_folder(base: Path) -> Path:
    for folder in (base, base / "sample"):
        if (folder / "images").is_dir() and (folder / "texts").is_dir():
            return folder
    raise not_found(NAME, f"{base} has no images and texts folders", LAYOUT, HOME_PAGE)


def _read_paragraphs(path: Path, report: ReadReport) -> tuple[str, ...]:
    """Return the paragraphs of a text file. If there are none, the reason is reported."""
    document = read_text(path, report)
    if document is None:
        return ()
    try:
        text = _text_element(document)
    except _UnsafeXMLError:
        report.add("unsafe XML", path, "it declares a document type, which can hide entities")
        return ()
    except expat.ExpatError as error:
        match = re.search(r"<text>(.*?)(</text>|<imageset|</document>|\Z)", document, re.DOTALL)
        text = _unescaped(match[1]) if match else ""
        report.add("repaired XML", path, str(error))
    paragraphs = split_paragraphs(text)
    if not paragraphs:
        report.add("empty text", path)
    return paragraphs


def _unescaped(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:  # a character reference with thousands of digits
        return text


class _UnsafeXMLError(Exception):
    pass


def _text_element(document: str) -> str:
    """Return the characters of the `<text>` element. Raises ExpatError and _UnsafeXMLError."""
    pieces: list[str] = []
    open_texts = 0

    def started(name: str, _: object) -> None:
        nonlocal open_texts
        open_texts += name == "text"

    def ended(name: str) -> None:
        nonlocal open_texts
        open_texts -= name == "text"

    def characters(data: str) -> None:
        if open_texts:
            pieces.append(data)

    def refuse(*_: object) -> None:
        raise _UnsafeXMLError

    parser = expat.ParserCreate()
    parser.StartElementHandler = started
    parser.EndElementHandler = ended
    parser.CharacterDataHandler = characters
    # Only a document type can declare entities that expand or are fetched.
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(document, True)
    return "".join(pieces)
