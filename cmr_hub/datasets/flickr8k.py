"""Flickr8k in ImageFolder form: photographs with five sentences each, without labels.

M. Hodosh, P. Young, J. Hockenmaier: Framing image description as a ranking task: data, models
and evaluation metrics. Journal of Artificial Intelligence Research 47, 2013.
"""

from __future__ import annotations

from pathlib import Path

from cmr_hub.datasets.folder import PROTOCOL, read_folder
from cmr_hub.datasets.pairs import PairDataset

HOME_PAGE = "http://nlp.cs.illinois.edu/HockenmaierGroup/8k-pictures.html"


def read(root: str | Path | None = None, protocol: str = PROTOCOL) -> PairDataset:
    """Reads the dataset from `root` or `$CMR_DATA_HOME/flickr8k`. See `read_folder`."""
    return read_folder("flickr8k", root, protocol, HOME_PAGE)
