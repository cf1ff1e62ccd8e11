"""Datasets as functions: `PascalSentence()` is the same as `load_dataset("pascal-sentence")`.

Each function reads the folder `root` or its folder in `$CMR_DATA_HOME`. Problems with the files are
stored in the dataset's `report`.
"""

# Functions with names of classes, as torchvision's datasets are classes.
# ruff: noqa: N802

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from cmr_hub.datasets import load_dataset
from cmr_hub.datasets.features import FeatureDataset
from cmr_hub.datasets.pairs import PairDataset
from cmr_hub.errors import DataFormatError


def PascalSentence(
    root: str | Path | None = None, protocol: str = "800/200", *, check_images: bool = True
) -> PairDataset:
    """Read 1,000 photographs of 20 classes with five sentences each (Rashtchian et al. 2010).

    Args:
        root: Folder with `dataset/` and `sentence/`. Default: `$CMR_DATA_HOME/pascal-sentence`.
        protocol: "800/200", the last ten of each class are test; "800/100/100", five of these are
            validation; or "random-<seed>", as the first, but each class is shuffled.
        check_images: Decode every picture once and drop broken ones.

    Raises:
        UnknownNameError: There is no such protocol.
        DataNotFoundError: The dataset does not exist.
        DataFormatError: It cannot be parsed.

    Example:
        >>> PascalSentence("~/data/pascal").split("train")                  # doctest: +SKIP
    """
    return _pairs("pascal-sentence", root, protocol, check_images)


def Wikipedia(
    root: str | Path | None = None, protocol: str = "2173/693", *, check_images: bool = True
) -> PairDataset:
    """Read 2,866 sections of articles in ten classes, each with a picture (Rasiwasia et al. 2010).

    Args:
        root: Folder with `images/`, `texts/` and the lists. Default: `$CMR_DATA_HOME/wikipedia`.
        protocol: "2173/693", the authors' training and test lists; or "2173/231/462", the first
            231 items of the test list are validation.
        check_images: Decode every picture once and drop broken ones.

    Raises:
        UnknownNameError, DataNotFoundError, DataFormatError: As `PascalSentence`.
    """
    return _pairs("wikipedia", root, protocol, check_images)


def WikipediaFeatures(
    root: str | Path | None = None,
    protocol: str = "2173/693",
    *,
    text: Literal["lda", "tfidf"] = "lda",
) -> FeatureDataset:
    """Read the features published with `Wikipedia`: (2866, 128) of pictures, and of texts.

    Args:
        root: Folder with the .mat files and the lists. Default: `$CMR_DATA_HOME/wikipedia`.
        protocol: See `Wikipedia`.
        text: "lda", (2866, 10) topics; or "tfidf", (2866, 1000) weights of words.

    Raises:
        UnknownNameError, DataNotFoundError, DataFormatError: As `PascalSentence`.
    """
    return _features("wikipedia-features", root, protocol, text=text)


def Flickr8k(
    root: str | Path | None = None, protocol: str = "folders", *, check_images: bool = True
) -> PairDataset:
    """Read 8,000 photographs with five sentences each, without classes (Hodosh et al. 2013).

    Args:
        root: Folder in the format of `Folder`. Default: `$CMR_DATA_HOME/flickr8k`.
        protocol: "folders", the folders train, validation and test are the splits; or
            "6000/1000", the validation pictures are the test split.
        check_images: Decode every picture once and drop broken ones.

    Raises:
        UnknownNameError, DataNotFoundError, DataFormatError: As `PascalSentence`.
    """
    return _pairs("flickr8k", root, protocol, check_images)


def Folder(root: str | Path, *, check_images: bool = True) -> PairDataset:
    """Read your own folder of pictures with a table: `metadata.jsonl`, .json, .csv, .tsv, .parquet.

    As in Hugging Face's ImageFolder, the table has the columns `file_name`, one of `captions`,
    `caption` and `text`, and optionally `label`; several rows of one picture are its captions. The
    folders train, validation and test are the splits.

    Args:
        root: The folder.
        check_images: Decode every picture once and drop broken ones.

    Raises:
        DataNotFoundError, DataFormatError: As `PascalSentence`.
    """
    return _pairs("folder", root, "folders", check_images)


def _pairs(name: str, root: str | Path | None, protocol: str, check_images: bool) -> PairDataset:
    dataset = load_dataset(name, root, protocol, check_images=check_images)
    if not isinstance(dataset, PairDataset):
        raise DataFormatError(f"{name} has features and no pictures: read it with Features")
    return dataset


def Features(root: str | Path, protocol: str = "arrays") -> FeatureDataset:
    """Read features, labels and splits from a file that you or other researchers have made.

    Args:
        root: `.npz`, `.mat`, `.h5` or `.parquet` file, or a folder of such files and of `.npy`.
        protocol: "arrays" finds images, texts, labels and split by their usual names; or say which
            they are: "images=A,texts=B,labels=C,split=D". See `feature_files.read`.

    Raises:
        DataNotFoundError, DataFormatError: As `PascalSentence`.
    """
    return _features("features", root, protocol)


def Coco(
    root: str | Path | None = None, protocol: str = "karpathy", *, check_images: bool = True
) -> PairDataset:
    """Read MS-COCO 2014 with Karpathy's splits: 123,287 photographs with five sentences each.

    Args:
        root: Folder with `dataset_coco.json`, `train2014/` and `val2014/`. Default:
            `$CMR_DATA_HOME/coco`.
        protocol: "karpathy"; "no-restval"; or "1k-1" to "1k-5", the nth thousand as test split.
        check_images: Decode every picture once and drop broken ones.

    Raises:
        UnknownNameError, DataNotFoundError, DataFormatError: As `PascalSentence`.
    """
    return _pairs("coco", root, protocol, check_images)


def Flickr30k(root: str | Path | None = None, *, check_images: bool = True) -> PairDataset:
    """Read Flickr30k with Karpathy's splits: 31,014 photographs with five sentences each.

    Args:
        root: Folder with `dataset_flickr30k.json` and `flickr30k-images/`. Default:
            `$CMR_DATA_HOME/flickr30k`.
        check_images: Decode every picture once and drop broken ones.

    Raises:
        UnknownNameError, DataNotFoundError, DataFormatError: As `PascalSentence`.
    """
    return _pairs("flickr30k", root, "karpathy", check_images)


def MIRFlickr25k(
    root: str | Path | None = None, protocol: str = "random-0", *, check_images: bool = True
) -> PairDataset:
    """Read 25,000 photographs with tags and several of 24 labels each (Huiskes and Lew 2008).

    Args:
        root: The published folder, with the annotations in it. Default:
            `$CMR_DATA_HOME/mirflickr25k`.
        protocol: "random-<seed>", 2,000 random pictures are test.
        check_images: Decode every picture once and drop broken ones.

    Raises:
        UnknownNameError, DataNotFoundError, DataFormatError: As `PascalSentence`.
    """
    return _pairs("mirflickr25k", root, protocol, check_images)


def NUSWide(root: str | Path | None = None, protocol: str = "full") -> FeatureDataset:
    """Read the features and tags of NUS-WIDE, with several of 81 labels each (Chua et al. 2009).

    Args:
        root: Folder with the published archives. Default: `$CMR_DATA_HOME/nus-wide`.
        protocol: "full"; "21", the most frequent labels; or "10k-<seed>", 1,000 items of each of
            ten classes.

    Raises:
        UnknownNameError, DataNotFoundError, DataFormatError: As `PascalSentence`.
    """
    return _features("nus-wide", root, protocol)


def XMedia(root: str | Path | None = None) -> FeatureDataset:
    """Read the features of XMedia: 5,000 pictures and texts in 20 classes (Peng et al. 2018).

    Args:
        root: Folder with `XMediaFeatures.mat`. Default: `$CMR_DATA_HOME/xmedia`.

    Raises:
        DataNotFoundError, DataFormatError: As `PascalSentence`.
    """
    return _features("xmedia", root, "train/test")


def XMediaNet(root: str | Path | None = None) -> FeatureDataset:
    """Read the features of XMediaNet: 40,000 pictures and texts in 200 classes.

    Args:
        root: Folder with `img_train_fea.txt` and so on. Default: `$CMR_DATA_HOME/xmedianet`.

    Raises:
        DataNotFoundError, DataFormatError: As `PascalSentence`.
    """
    return _features("xmedianet", root, "train/test")


def _features(name: str, root: str | Path | None, protocol: str, **options: Any) -> FeatureDataset:
    dataset = load_dataset(name, root, protocol, **options)
    if not isinstance(dataset, FeatureDataset):
        raise DataFormatError(f"{name} has pictures and no features: read it with load_dataset")
    return dataset
