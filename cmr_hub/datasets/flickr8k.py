"""Flickr8k in ImageFolder form: photographs with five sentences each, without labels.

M. Hodosh, P. Young, J. Hockenmaier: Framing image description as a ranking task: data, models
and evaluation metrics. Journal of Artificial Intelligence Research 47, 2013.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from cmr_hub.datasets.folder import PROTOCOL, read_folder
from cmr_hub.datasets.pairs import PairDataset
from cmr_hub.errors import UnknownNameError

HOME_PAGE = "http://nlp.cs.illinois.edu/HockenmaierGroup/8k-pictures.html"
TWO_PARTS = "6000/1000"


def read(root: str | Path | None = None, protocol: str = PROTOCOL) -> PairDataset:
    """Read the dataset from `root` or `$CMR_DATA_HOME/flickr8k`. See `read_folder`.

    In the protocol "6000/1000" the validation pictures are the test split, and training uses a
    part of its 6000 pictures for validation.
    """
    if protocol not in (PROTOCOL, TWO_PARTS):
        raise UnknownNameError("protocol of flickr8k", protocol, [PROTOCOL, TWO_PARTS])
    dataset = read_folder("flickr8k", root, PROTOCOL, HOME_PAGE)
    if protocol == PROTOCOL:
        return dataset
    dataset = dataset.subset(dataset.splits != "test")
    splits = np.where(dataset.splits == "validation", "test", dataset.splits)
    return replace(dataset, protocol=protocol, splits=splits)
