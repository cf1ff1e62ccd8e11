"""What a card says about the data that a model learnt from."""

from __future__ import annotations

from typing import Final, NamedTuple


class About(NamedTuple):
    """A dataset in words.

    Attributes:
        title: how it is called.
        what: what it holds.
        terms: of use, or who holds the rights.
        open: whether a model of it may be used for anything.
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

UNKNOWN: Final = About("", "data of whoever trained it", "not stated here: ask them")


def about(dataset: str) -> About:
    """What is known of a dataset; of a folder of someone's own, that nothing is."""
    return ABOUT.get(dataset, UNKNOWN._replace(title=dataset))
