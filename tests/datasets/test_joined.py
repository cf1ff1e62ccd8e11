from pathlib import Path

import numpy as np
import pytest

from cmr_hub.datasets.joined import joined
from cmr_hub.datasets.pairs import PairDataset
from cmr_hub.errors import DataFormatError


def dataset(name: str, labels: list[int], classes: tuple[str, ...], split: str) -> PairDataset:
    n = len(labels)
    return PairDataset(
        name=name,
        protocol=f"{name}-protocol",
        ids=tuple(map(str, range(n))),
        labels=np.array(labels, dtype=np.int64),
        classes=classes,
        splits=np.array([split] * (n - 1) + ["test"]),
        images=tuple(Path(f"{name}-{i}.png") for i in range(n)),
        sentences=tuple((f"{name} {i}",) for i in range(n)),
    )


def test_items_keep_their_class_and_their_split():
    parts = [
        dataset("a", [0, 1, 1], ("tvmonitor", "cat"), "train"),
        dataset("b", [-1, -1], (), "validation"),
        dataset("c", [2, 0, 1, -1], ("cat", "bus", "TV monitor"), "train"),
    ]
    whole = joined(parts)
    assert whole.classes == ("tvmonitor", "cat", "bus")
    names = [whole.label_name(row) for row in range(len(whole))]
    tv = "tvmonitor"
    assert names == [tv, "cat", "cat", None, None, tv, "cat", "bus", None]
    assert list(whole.splits) == [split for part in parts for split in part.splits]
    assert whole.ids == ("a/0", "a/1", "a/2", "b/0", "b/1", "c/0", "c/1", "c/2", "c/3")
    assert whole.sentences[5] == ("c 0",)
    assert whole.images[4] == Path("b-1.png")


def test_what_cannot_be_joined():
    part = dataset("a", [0], ("x",), "train")
    for given in ([], [part, part]):
        with pytest.raises(DataFormatError, match="at least one dataset"):
            joined(given)
