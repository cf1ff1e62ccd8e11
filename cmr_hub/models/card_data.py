"""Descriptions of training datasets for model cards."""

from __future__ import annotations

from typing import Final, NamedTuple


class About(NamedTuple):
    """The description of a dataset.

    Attributes:
        title: name of the dataset.
        what: contents of the dataset.
        terms: terms of use, or the holders of the rights.
        open: whether a model trained on it may be used for any purpose.
    """

    title: str
    what: str
    terms: str
    open: bool = False


ABOUT: Final = {
    "pascal-sentence": About(
        "Pascal Sentence",
        "1,000 photographs of PASCAL VOC 2008, five sentences each (Rashtchian et al. 2010)",
        "photographs from Flickr, each its photographer's; for research",
    ),
    "flickr8k": About(
        "Flickr8k",
        "8,000 photographs with captions (Hodosh et al. 2013)",
        "photographs from Flickr, each its photographer's; non-commercial research and education",
    ),
    "wikipedia": About(
        "Wikipedia",
        "2,866 pictures and sections of featured articles (Rasiwasia et al. 2010)",
        "texts CC BY-SA, pictures under their own terms; for research",
    ),
    "sketches": About(
        "Sketches", "scenes and sentences that CMR Hub draws itself", "Apache-2.0", open=True
    ),
}
ABOUT["wikipedia-features"] = ABOUT["wikipedia"]

UNKNOWN: Final = About("", "custom data", "not stated; ask the author of the model")


def about(dataset: str) -> About:
    """Return the description of a dataset, or `UNKNOWN` with its name."""
    return ABOUT.get(dataset, UNKNOWN._replace(title=dataset))
