import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from cmr_hub.datasets import load_dataset, pascal_sentence
from cmr_hub.errors import DataFormatError, DataNotFoundError, UnknownNameError


def add(root, name, item, text="a sentence\n"):
    image = root / "dataset" / name / f"{item}.jpg"
    sentences = root / "sentence" / name / f"{item}.txt"
    for path in (image, sentences):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "red").save(image)
    sentences.write_bytes(text.encode() if isinstance(text, str) else text)
    return image, sentences


@pytest.fixture
def root(tmp_path):
    for name in ("cat", "dog"):
        for number in range(12):
            add(tmp_path, name, f"{name}_{number:02d}")
    return tmp_path


def problems(dataset, *, ignore=("class size", "missing class")):
    return [(p.kind, p.path.split("/")[-1]) for p in dataset.report if p.kind not in ignore]


@pytest.mark.parametrize(
    ("protocol", "sizes"),
    [
        ("800/200", {"train": 40, "test": 10}),
        ("800/100/100", {"train": 40, "validation": 5, "test": 5}),
        ("random-7", {"train": 40, "test": 10}),
    ],
)
def test_real_data(data_home, protocol, sizes):
    base = data_home / "pascal-sentence"
    dataset = load_dataset("pascal-sentence", base, protocol, check_images=False)
    assert len(dataset) == 1000
    assert len(dataset.report) == 0
    assert dataset.classes == tuple(sorted(path.name for path in (base / "dataset").iterdir()))
    assert dataset.classes == pascal_sentence.CLASSES
    assert Counter(len(sentences) for sentences in dataset.sentences) == {5: 996, 4: 3, 6: 1}
    for name in dataset.classes:
        ids = sorted(path.stem for path in (base / "dataset" / name).iterdir())
        own = {
            dataset.ids[i]: str(dataset.splits[i])
            for i in range(1000)
            if dataset.label_name(i) == name
        }
        assert sorted(own) == ids
        assert Counter(own.values()) == sizes
        if not protocol.startswith("random"):
            ordered = [split for split, count in sizes.items() for _ in range(count)]
            assert [own[item] for item in ids] == ordered
    for index in (0, 500, 999):
        folder, item = dataset.label_name(index), dataset.ids[index]
        assert dataset.images[index] == base / "dataset" / folder / f"{item}.jpg"
        lines = (base / "sentence" / folder / f"{item}.txt").read_text().split("\n")
        assert dataset.sentences[index] == tuple(line.strip() for line in lines if line.strip())


def test_real_pictures_are_all_whole(data_home):
    dataset = load_dataset("pascal-sentence", data_home / "pascal-sentence")
    assert len(dataset) == 1000
    assert len(dataset.report) == 0


def test_found_by_variable(root, monkeypatch):
    home = root.parent / "home"
    home.mkdir()
    shutil.copytree(root, home / "pascal-sentence")
    monkeypatch.setenv("CMR_DATA_HOME", str(home))
    assert len(load_dataset("pascal-sentence")) == 24


def test_small_classes_follow_the_same_rule_and_are_reported(root):
    dataset = load_dataset("pascal-sentence", root)
    assert Counter(dataset.splits.tolist()) == {"train": 4, "test": 20}
    assert dataset.split("train").ids == ("cat_00", "cat_01", "dog_00", "dog_01")
    sizes = [problem.detail for problem in dataset.report if problem.kind == "class size"]
    assert sizes == ["12 pairs, not 50"] * 2
    (missing,) = [problem for problem in dataset.report if problem.kind == "missing class"]
    assert "sofa" in missing.detail
    assert "cat" not in missing.detail
    assert problems(dataset) == []


def test_text_encodings_and_line_ends(root):
    add(root, "cat", "cat_00", "\ufeffcafé one\r\n\r\n  two \r\n")
    add(root, "cat", "cat_01", "café three\n".encode("latin-1"))
    dataset = load_dataset("pascal-sentence", root)
    sentences = dict(zip(dataset.ids, dataset.sentences, strict=True))
    assert sentences["cat_00"] == ("café one", "two")
    assert sentences["cat_01"] == ("café three",)
    assert problems(dataset) == [("repaired encoding", "cat_01.txt")]


def test_every_damage_is_reported_and_moves_no_other_item(root):
    before = load_dataset("pascal-sentence", root)
    split_before = dict(zip(before.ids, before.splits.tolist(), strict=True))
    images = root / "dataset" / "cat"
    texts = root / "sentence" / "cat"
    (images / "cat_00.jpg").write_bytes((images / "cat_00.jpg").read_bytes()[:100])
    (images / "cat_05.jpg").write_bytes(b"")
    (texts / "cat_11.txt").write_bytes(b" \r\n")
    # A picture alone, a text alone, and a folder that is named like a picture.
    Image.new("RGB", (8, 8)).save(images / "zz_alone.jpg")
    (texts / "zz_words.txt").write_text("words")
    (images / "zz_folder.jpg").mkdir()
    (texts / "zz_folder.txt").write_text("words")
    # An id twice: in another class, and with another ending.
    add(root, "dog", "cat_03")
    shutil.copy(images / "cat_04.jpg", images / "cat_04.JPEG")
    for stray in ("Thumbs.db", ".DS_Store", "notes.txt"):
        (images / stray).touch()
    (root / "dataset" / "README").touch()
    (root / "sentence" / "dog" / "dangling.txt").symlink_to(root / "nowhere")

    dataset = load_dataset("pascal-sentence", root)
    assert sorted(problems(dataset)) == sorted(
        [
            ("broken image", "cat_00.jpg"),
            ("broken image", "cat_05.jpg"),
            ("empty text", "cat_11.txt"),
            ("missing text", "zz_alone.jpg"),
            ("missing image", "zz_words.txt"),
            ("unexpected file", "zz_folder.jpg"),
            ("missing image", "zz_folder.txt"),
            ("duplicate id", "cat_03.jpg"),
            # Capitals sort first, so the other one is the second of its id.
            ("duplicate id", "cat_04.jpg"),
            ("unexpected file", "Thumbs.db"),
            ("unexpected file", ".DS_Store"),
            ("unexpected file", "notes.txt"),
            ("unexpected file", "README"),
            ("unexpected file", "dangling.txt"),
        ]
    )
    split_after = dict(zip(dataset.ids, dataset.splits.tolist(), strict=True))
    assert split_after.keys() == split_before.keys() - {"cat_00", "cat_05", "cat_11"}
    assert all(split_before[item] == split for item, split in split_after.items())
    assert all(dataset.sentences)


def test_absent_data_wrong_folder_and_nothing_usable(root, tmp_path):
    with pytest.raises(DataNotFoundError, match=r"(?s)does not exist.*uiuc.*sentence/<class>"):
        load_dataset("pascal-sentence", tmp_path / "none")
    with pytest.raises(DataNotFoundError, match="has no dataset, sentence"):
        load_dataset("pascal-sentence", root / "dataset")
    for path in root.glob("sentence/*/*"):
        path.write_text("")
    with pytest.raises(DataFormatError, match=r"(?s)nothing.*empty text: 24"):
        load_dataset("pascal-sentence", root)
    shutil.rmtree(root / "sentence")
    (root / "sentence").mkdir()
    with pytest.raises(DataNotFoundError, match=r"(?s)no complete pair.*missing text: 24"):
        load_dataset("pascal-sentence", root)


def test_unknown_protocol_is_refused_before_reading():
    with pytest.raises(UnknownNameError, match=r"'80/20'.*800/200, 800/100/100, random-<seed>"):
        load_dataset("pascal-sentence", "/nowhere", "80/20")


def test_random_protocols_differ(root):
    first, second = (load_dataset("pascal-sentence", root, f"random-{s}") for s in (1, 2))
    assert first.protocol == "random-1"
    assert np.any(first.splits != second.splits)
