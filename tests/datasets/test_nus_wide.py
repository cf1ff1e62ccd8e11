import numpy as np
import pytest

from cmr_hub.datasets import NUSWide
from cmr_hub.datasets.nus_wide import TEN
from cmr_hub.errors import DataFormatError, DataNotFoundError, UnknownNameError

CONCEPTS = (*TEN, *(f"other{n:02}" for n in range(15)))
COUNTS = {"Train": 120, "Test": 40}


@pytest.fixture
def root(tmp_path):
    random = np.random.default_rng(4)
    for folder in ("Low_Level_Features", "NUS_WID_Tags", "Groundtruth/TrainTestLabels"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "Concepts81.txt").write_text("\n".join(CONCEPTS) + "\n")
    for side, count in COUNTS.items():
        images, tags = random.integers(1, 9, (count, 5)), random.integers(0, 2, (count, 4))
        tags[:, 0], tags[0] = 1, 0  # the first one has no tag
        np.savetxt(tmp_path / f"Low_Level_Features/BoW_{side}_int.dat", images, "%d", " ", " \n")
        np.savetxt(tmp_path / f"NUS_WID_Tags/{side}_Tags1k.dat", tags, "%d", "\t", "\t\n")
        for place, concept in enumerate(CONCEPTS):
            labels = random.random(count) < 0.05 + 0.01 * (place < 10)
            labels[1] = False  # of no class
            file = f"Labels_{concept}_{side}.txt"
            np.savetxt(tmp_path / "Groundtruth/TrainTestLabels" / file, labels, "%d")
    return tmp_path


def test_the_whole_with_its_published_split(root):
    dataset = NUSWide(root)
    assert dataset.classes == CONCEPTS
    assert dataset.labelled.all()
    assert not {"0", "1", "120", "121"} & set(dataset.ids)
    raw = np.loadtxt(root / "Low_Level_Features/BoW_Test_int.dat")
    last = dataset.subset([-1])
    row = raw[int(last.ids[0]) - 120]
    np.testing.assert_allclose(last.image_features[0], row / row.sum(), rtol=1e-6)
    for place, concept in enumerate(CONCEPTS[:3]):
        column = np.loadtxt(root / f"Groundtruth/TrainTestLabels/Labels_{concept}_Test.txt")
        assert last.labels[0, place] == column[int(last.ids[0]) - 120]


def test_the_most_frequent_concepts(root):
    whole, part = NUSWide(root), NUSWide(root, "21")
    assert len(part.classes) == 21
    left_out = [whole.classes.index(name) for name in set(CONCEPTS) - set(part.classes)]
    assert whole.labels.sum(axis=0)[left_out].max() <= part.labels.sum(axis=0).min()


def test_ten_thousand_have_one_class_each(root, monkeypatch):
    monkeypatch.setattr(
        "cmr_hub.datasets.nus_wide._OF_TEN", {"train": 1, "validation": 1, "test": 1}
    )
    dataset = NUSWide(root, "10k-0")
    assert dataset.classes == TEN
    assert dataset.labels.ndim == 1
    assert np.bincount(dataset.labels).max() == 3
    assert dataset.split_names == ("train", "validation", "test")
    assert dataset.ids == NUSWide(root, "10k-0").ids != NUSWide(root, "10k-1").ids


def test_what_is_wrong_is_told(root):
    with pytest.raises(UnknownNameError, match="10k-<seed>"):
        NUSWide(root, "10k")
    with pytest.raises(DataNotFoundError, match="Concepts81"):
        NUSWide(root / "NUS_WID_Tags")
    tags = root / "NUS_WID_Tags/Test_Tags1k.dat"
    text = tags.read_text()
    tags.write_text(text[: text.rindex("\n", 0, -1) + 1])
    with pytest.raises(DataFormatError, match=r"Test differ in length: \[39, 40\]"):
        NUSWide(root)
    for damaged in ("1 2\n3", "1 dog\n", ""):
        tags.write_text(damaged)
        with pytest.raises(DataFormatError, match="not a table of numbers"):
            NUSWide(root)
