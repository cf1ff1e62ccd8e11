import json

import pytest
from PIL import Image

from cmr_hub.datasets import Coco, Flickr30k, load_dataset
from cmr_hub.errors import DataFormatError, DataNotFoundError, UnknownNameError

SPLITS = ("train", "restval", "val", "test", "test", "train")


def table(root, name, pictures):
    (root / name).write_text(json.dumps({"dataset": name, "images": pictures}))


def picture(number, split, **changes):
    sentences = [{"tokens": ["a"], "raw": f" picture {number} {n} ", "sentid": n} for n in (0, 1)]
    return {"filename": f"{number}.jpg", "split": split, "sentences": sentences} | changes


@pytest.fixture
def coco(tmp_path):
    pictures = []
    for number, split in enumerate(SPLITS):
        folder = "train2014" if split == "train" else "val2014"
        (tmp_path / folder).mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / folder / f"{number}.jpg")
        pictures.append(picture(number, split, filepath=folder, cocoid=number))
    table(tmp_path, "dataset_coco.json", pictures)
    return tmp_path


def test_coco_has_the_splits_of_the_table(coco):
    dataset = Coco(coco)
    assert dataset.ids == tuple(f"{n}.jpg" for n in range(6))
    assert dataset.splits.tolist() == ["train", "train", "validation", "test", "test", "train"]
    assert dataset.sentences[2] == ("picture 2 0", "picture 2 1")
    assert dataset.images[1] == coco / "val2014" / "1.jpg"
    assert not dataset.classes
    assert not len(dataset.report)


@pytest.mark.parametrize(
    ("protocol", "train", "test"),
    [("karpathy", 3, 2), ("no-restval", 2, 2), ("1k-1", 3, 1), ("1k-2", 3, 1)],
)
def test_protocols_of_coco(coco, monkeypatch, protocol, train, test):
    monkeypatch.setattr("cmr_hub.datasets.karpathy._FOLD", 1)
    dataset = Coco(coco, protocol)
    assert (len(dataset.split("train")), len(dataset.split("test"))) == (train, test)
    if protocol.startswith("1k"):
        assert dataset.split("test").ids == (f"{2 + int(protocol[-1])}.jpg",)


def test_flickr30k_reports_what_it_leaves_out(tmp_path):
    folder = tmp_path / "flickr30k_images"
    folder.mkdir()
    for name in ("1.jpg", "2.jpg"):
        Image.new("RGB", (8, 8)).save(folder / name)
    Image.new("RGB", (8, 8)).save(tmp_path.parent / "outside.jpg")
    pictures = [
        picture(1, "train"),
        picture(2, "test", sentences=[{"raw": " "}]),
        picture(1, "test"),
        picture(3, "val"),
        picture(4, "val", filename="../../outside.jpg"),
    ]
    table(tmp_path, "dataset_flickr30k.json", pictures)
    dataset = Flickr30k(tmp_path)
    assert dataset.ids == ("1.jpg",)
    kinds = ["empty text", "duplicate id", "missing image", "unsafe path"]
    assert [problem.kind for problem in dataset.report] == kinds


@pytest.mark.parametrize("content", ["no json", "{}", '{"images": [{"filename": "1.jpg"}]}'])
def test_another_table_is_refused(tmp_path, content):
    (tmp_path / "dataset_coco.json").write_text(content)
    with pytest.raises(DataFormatError, match="not in Karpathy's format"):
        Coco(tmp_path)


@pytest.mark.parametrize("name", ["coco", "flickr30k"])
def test_what_is_missing_is_told(tmp_path, name):
    with pytest.raises(DataNotFoundError, match=f"dataset_{name}.json"):
        load_dataset(name, tmp_path)
    with pytest.raises(UnknownNameError, match="karpathy"):
        load_dataset(name, tmp_path, "5k")
    if name == "flickr30k":
        table(tmp_path, "dataset_flickr30k.json", [])
        with pytest.raises(DataNotFoundError, match="has no flickr30k-images"):
            load_dataset(name, tmp_path)
