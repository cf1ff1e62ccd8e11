import numpy as np
import pytest
from PIL import Image

from cmr_hub.datasets import MIRFlickr25k
from cmr_hub.errors import DataFormatError, DataNotFoundError, UnknownNameError

MEMBERS = {"sky": [1, 2, 3, 4], "dog": [2, 4, 10], "tree": [5]}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "meta" / "tags").mkdir(parents=True)
    annotations = tmp_path / "mirflickr25k_annotations_v080"
    annotations.mkdir()
    for name, numbers in MEMBERS.items():
        (annotations / f"{name}.txt").write_text("".join(f"{n}\n" for n in numbers))
    (annotations / "dog_r1.txt").write_text("2\n")
    (annotations / "README.txt").write_text("the annotations")
    for number in (1, 2, 3, 4, 6, 10):
        Image.new("RGB", (8, 8)).save(tmp_path / f"im{number}.jpg")
        tags = "" if number == 3 else f"nikon\nnumber{number}\n"
        (tmp_path / "meta" / "tags" / f"tags{number}.txt").write_text(tags)
    return tmp_path


def test_pictures_have_tags_and_several_labels(root):
    dataset = MIRFlickr25k(root)
    assert dataset.ids == ("im1", "im2", "im4", "im10")
    assert dataset.classes == ("dog", "sky", "tree")
    assert dataset.labels.tolist() == [[0, 1, 0], [1, 1, 0], [1, 1, 0], [1, 0, 0]]
    assert dataset.sentences[1] == ("nikon number2",)
    assert dataset.label_name(1) == "dog, sky"
    assert [problem.kind for problem in dataset.report] == ["missing text", "missing class"]


def test_the_seed_draws_the_test_pictures(root, monkeypatch):
    monkeypatch.setattr("cmr_hub.datasets.mirflickr.TEST", 2)
    drawn = [MIRFlickr25k(root, f"random-{seed}").splits.tolist() for seed in range(8)]
    assert all(splits.count("test") == 2 for splits in drawn)
    assert len(np.unique(drawn, axis=0)) > 1
    assert drawn[3] == MIRFlickr25k(root, "random-3").splits.tolist()


def test_what_is_wrong_is_told(root, tmp_path):
    with pytest.raises(UnknownNameError, match="random-<seed>"):
        MIRFlickr25k(root, "2000")
    with pytest.raises(DataNotFoundError, match="meta/tags"):
        MIRFlickr25k(root / "meta")
    (root / "mirflickr25k_annotations_v080" / "sky.txt").write_text("im1.jpg")
    with pytest.raises(DataFormatError, match=r"sky\.txt is not a list of picture numbers"):
        MIRFlickr25k(root)
