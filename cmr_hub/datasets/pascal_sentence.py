"""Pascal Sentence: 1000 photographs of VOC 2008 in 20 classes, five sentences each.

C. Rashtchian, P. Young, M. Hodosh, J. Hockenmaier: Collecting image annotations using Amazon's
Mechanical Turk. NAACL HLT Workshop on Creating Speech and Language Data, 2010.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cmr_hub.datasets.location import find_dataset, not_found
from cmr_hub.datasets.pairs import PairDataset
from cmr_hub.datasets.protocols import random_seed, tail_split
from cmr_hub.datasets.report import ReadReport
from cmr_hub.datasets.text import read_text, split_lines
from cmr_hub.errors import UnknownNameError
from cmr_hub.types import JSONObject

NAME = "pascal-sentence"
HOME_PAGE = "http://vision.cs.uiuc.edu/pascal-sentences/"
LAYOUT = "dataset/<class>/<id>.jpg and sentence/<class>/<id>.txt, one sentence a line"
CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
CLASS_SIZE = 50


def read(root: str | Path | None = None, protocol: str = "800/200") -> PairDataset:
    """Read the dataset from `root` or `$CMR_DATA_HOME/pascal-sentence`.

    Protocols, over the sorted ids of each class of 50:
        800/200: the last 10 are test, the others train.
        800/100/100: of the last 10, five are validation and five test.
        random-<seed>: as 800/200, but each class is shuffled first.

    The splits are assigned to all pairs of an image file and a text file before items with empty
    text are dropped, so that dropping an item moves no other item. Ids are file names without
    extension.

    Raises DataNotFoundError and UnknownNameError.
    """
    held_out = _held_out(protocol)
    base = find_dataset(
        NAME, NAME, root, layout=LAYOUT, home_page=HOME_PAGE, required=("dataset", "sentence")
    )
    report = ReadReport()
    images = _files(base / "dataset", (".jpg", ".jpeg"), report)
    texts = _files(base / "sentence", (".txt",), report)
    for key in sorted(images.keys() - texts.keys()):
        report.add("missing text", images[key], "a picture without sentences")
    for key in sorted(texts.keys() - images.keys()):
        report.add("missing image", texts[key], "sentences without a picture")

    place: dict[str, tuple[str, str]] = {}
    for key in sorted(images.keys() & texts.keys()):
        first = place.setdefault(key[1], key)
        if first != key:
            report.add("duplicate id", images[key], f"also in {first[0]}")
    if not place:
        reason = f"{base} contains no complete pair\n{report.summary()}"
        raise not_found(NAME, reason, LAYOUT, HOME_PAGE)

    names = [name for name, _ in place.values()]
    _check_classes(base, names, report)
    classes = tuple(sorted(set(names)))
    labels = np.array([classes.index(name) for name in names], dtype=np.int64)
    ids = tuple(place)
    sentences = tuple(_sentences(texts[key], report) for key in place.values())
    dataset = PairDataset(
        name=NAME,
        protocol=protocol,
        ids=ids,
        images=tuple(images[key] for key in place.values()),
        sentences=sentences,
        labels=labels,
        classes=classes,
        splits=tail_split(ids, labels, **held_out),
        report=report,
    )
    return dataset.subset(np.array([bool(lines) for lines in sentences]))


def _sentences(path: Path, report: ReadReport) -> tuple[str, ...]:
    """Return the lines of a text file. If there are none, the reason is reported."""
    text = read_text(path, report)
    lines = split_lines(text or "")
    if text is not None and not lines:
        report.add("empty text", path)
    return lines


def _held_out(protocol: str) -> JSONObject:
    seed = random_seed(protocol)
    if seed is not None:
        return {"validation": 0, "test": 10, "seed": seed}
    sizes = {"800/200": (0, 10), "800/100/100": (5, 5)}
    if protocol not in sizes:
        raise UnknownNameError(f"protocol of {NAME}", protocol, [*sizes, "random-<seed>"])
    validation, test = sizes[protocol]
    return {"validation": validation, "test": test}


def _files(
    folder: Path, endings: tuple[str, ...], report: ReadReport
) -> dict[tuple[str, str], Path]:
    """Return (class, id) → path for the files with these extensions in the class folders."""
    found: dict[tuple[str, str], Path] = {}
    for class_folder in sorted(folder.iterdir()):
        if not class_folder.is_dir():
            report.add("unexpected file", class_folder, "only class folders belong here")
            continue
        for path in sorted(class_folder.iterdir()):
            key = (class_folder.name, path.stem)
            if path.suffix.lower() not in endings or not path.is_file():
                report.add("unexpected file", path, f"not a {endings[0]} file")
            elif key in found:
                report.add("duplicate id", path, f"also {found[key].name}")
            else:
                found[key] = path
    return found


def _check_classes(base: Path, names: list[str], report: ReadReport) -> None:
    for name in sorted(set(names)):
        if names.count(name) != CLASS_SIZE:
            size = names.count(name)
            report.add("class size", base / "dataset" / name, f"{size} pairs, not {CLASS_SIZE}")
    missing = [name for name in CLASSES if name not in names]
    if missing:
        report.add("missing class", base / "dataset", ", ".join(missing))
