"""The datasets as functions: `PascalSentence()` reads what `load_dataset("pascal-sentence")` does.

Each reads the folder `root`, or the one of its name under `$CMR_DATA_HOME`. What is wrong with the
files stands in the dataset's `report`.
"""

# They stand where torchvision has classes, and are called as those are.
# ruff: noqa: N802

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cmr_hub.datasets import load_dataset
from cmr_hub.datasets.features import FeatureDataset
from cmr_hub.datasets.pairs import PairDataset
from cmr_hub.errors import DataFormatError


def PascalSentence(
    root: str | Path | None = None, protocol: str = "800/200", *, check_images: bool = True
) -> PairDataset:
    """1,000 photographs of 20 classes with five sentences each (Rashtchian et al. 2010).

    Args:
        root: the folder with `dataset/` and `sentence/`; default `$CMR_DATA_HOME/pascal-sentence`.
        protocol: "800/200", the last ten of each class are test; "800/100/100", five of these are
            validation; or "random-<seed>", as the first, each class shuffled.
        check_images: decode every picture once and leave out the broken ones.

    Raises:
        UnknownNameError: no such protocol.
        DataNotFoundError: the dataset is not there.
        DataFormatError: it cannot be understood.

    Example:
        >>> PascalSentence("~/data/pascal").split("train")                  # doctest: +SKIP
    """
    return _pairs("pascal-sentence", root, protocol, check_images)


def Wikipedia(
    root: str | Path | None = None, protocol: str = "2173/693", *, check_images: bool = True
) -> PairDataset:
    """2,866 sections of articles with a picture each, of ten classes (Rasiwasia et al. 2010).

    Args:
        root: the folder with `images/`, `texts/` and the lists; default
            `$CMR_DATA_HOME/wikipedia`.
        protocol: "2173/693", the authors' training and test lists; or "2173/231/462", the first
            231 of the test list are validation.
        check_images: decode every picture once and leave out the broken ones.

    Raises:
        UnknownNameError, DataNotFoundError, DataFormatError: as `PascalSentence`.
    """
    return _pairs("wikipedia", root, protocol, check_images)


def WikipediaFeatures(
    root: str | Path | None = None,
    protocol: str = "2173/693",
    *,
    text: Literal["lda", "tfidf"] = "lda",
) -> FeatureDataset:
    """The features that were published with `Wikipedia`: (2866, 128) of pictures, and of texts.

    Args:
        root: the folder with the .mat files and the lists; default `$CMR_DATA_HOME/wikipedia`.
        protocol: as of `Wikipedia`.
        text: "lda", (2866, 10) topics; or "tfidf", (2866, 1000) weights of words.

    Raises:
        UnknownNameError, DataNotFoundError, DataFormatError: as `PascalSentence`.
    """
    dataset = load_dataset("wikipedia-features", root, protocol, text=text)
    if not isinstance(dataset, FeatureDataset):
        raise DataFormatError("wikipedia-features has pictures")
    return dataset


def Flickr8k(
    root: str | Path | None = None, protocol: str = "folders", *, check_images: bool = True
) -> PairDataset:
    """8,000 photographs with five sentences each, without classes (Hodosh et al. 2013).

    Args:
        root: a folder as `Folder` reads it; default `$CMR_DATA_HOME/flickr8k`.
        protocol: "folders", the folders train, validation and test are the splits; or
            "6000/1000", the validation pictures are the test split.
        check_images: decode every picture once and leave out the broken ones.

    Raises:
        UnknownNameError, DataNotFoundError, DataFormatError: as `PascalSentence`.
    """
    return _pairs("flickr8k", root, protocol, check_images)


def Folder(root: str | Path, *, check_images: bool = True) -> PairDataset:
    """A folder of one's own: pictures with `metadata.jsonl`, `.csv` or `.parquet` beside them.

    The table has `file_name`, one of `captions`, `caption` and `text`, and perhaps `label`, as
    Hugging Face's ImageFolder has it; folders train, validation and test are the splits.

    Args:
        root: the folder.
        check_images: decode every picture once and leave out the broken ones.

    Raises:
        DataNotFoundError, DataFormatError: as `PascalSentence`.
    """
    return _pairs("folder", root, "folders", check_images)


def _pairs(name: str, root: str | Path | None, protocol: str, check_images: bool) -> PairDataset:
    dataset = load_dataset(name, root, protocol, check_images=check_images)
    if not isinstance(dataset, PairDataset):
        raise DataFormatError(f"{name} has no pictures")
    return dataset
