import json
import os
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cmr_hub.datasets import load_dataset
from cmr_hub.errors import DataNotFoundError, UnknownNameError


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "red").save(path)


def write_jsonl(folder, *records):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def problems(dataset):
    return [(p.kind, p.path.split("/")[-1]) for p in dataset.report]


def test_flickr8k(data_home):
    dataset = load_dataset("flickr8k", data_home / "flickr8k", check_images=False)
    assert dataset.name == "flickr8k"
    assert Counter(dataset.splits.tolist()) == {"train": 6000, "validation": 1000}
    assert {len(sentences) for sentences in dataset.sentences} == {5}
    assert len(dataset.report) == 0
    assert set(dataset.labels.tolist()) == {-1}
    for split in ("train", "validation"):
        part = dataset.split(split)
        lines = (data_home / "flickr8k" / split / "metadata.jsonl").read_text().splitlines()
        record = json.loads(lines[17])
        assert part.images[17] == data_home / "flickr8k" / split / record["file_name"]
        assert part.sentences[17] == tuple(text.strip() for text in record["captions"])


def test_flickr8k_is_found_by_variable_and_as_a_folder(data_home, monkeypatch):
    monkeypatch.setenv("CMR_DATA_HOME", str(data_home))
    known = load_dataset("flickr8k", check_images=False)
    own = load_dataset("folder", data_home / "flickr8k", check_images=False)
    assert own.name == "folder"
    assert own.ids == known.ids


def test_keys_of_sentences_and_labels(tmp_path):
    for name in "abcde":
        picture(tmp_path / f"{name}.png")
    write_jsonl(
        tmp_path,
        {"file_name": "a.png", "text": " one ", "label": "dog"},
        {"file_name": "b.png", "caption": "two", "text": "not this"},
        {"file_name": "c.png", "captions": ["three", "", " four"], "label": 10},
        {"file_name": "d.png", "captions": "five", "label": 9},
        {"file_name": "e.png", "captions": None, "text": "six", "label": ""},
    )
    dataset = load_dataset("folder", tmp_path)
    assert dataset.ids == ("a.png", "b.png", "c.png", "d.png", "e.png")
    assert dataset.sentences == (("one",), ("two",), ("three", "four"), ("five",), ("six",))
    assert dataset.classes == ("9", "10", "dog")
    assert dataset.labels.tolist() == [2, -1, 1, 0, -1]
    assert dataset.split_names == ("train",)
    assert len(dataset.report) == 0


def test_csv(tmp_path):
    for name in ("a.jpg", "b, c.jpg"):
        picture(tmp_path / name)
    rows = 'file_name,text,label\r\na.jpg,"one, ""two""\r\nthree",dog\r\n"b, c.jpg",café,\r\n'
    (tmp_path / "metadata.csv").write_bytes(rows.encode("utf-8-sig"))
    dataset = load_dataset("folder", tmp_path)
    assert dataset.ids == ("a.jpg", "b, c.jpg")
    assert dataset.sentences == (('one, "two"\r\nthree',), ("café",))
    assert [dataset.label_name(0), dataset.label_name(1)] == ["dog", None]
    assert len(dataset.report) == 0


def test_damaged_csv(tmp_path):
    picture(tmp_path / "a.jpg")
    picture(tmp_path / "b.jpg")
    rows = "file_name,text\na.jpg,caf\xe9\nb.jpg,one,two\nc.jpg\n,words\n"
    (tmp_path / "metadata.csv").write_bytes(rows.encode("latin-1"))
    dataset = load_dataset("folder", tmp_path)
    assert dataset.sentences == (("café",),)
    assert problems(dataset) == [
        ("repaired encoding", "metadata.csv"),
        ("damaged record", "metadata.csv:3"),
        ("missing image", "metadata.csv:4"),
        ("damaged record", "metadata.csv:5"),
        ("unlisted file", "b.jpg"),
    ]
    (tmp_path / "metadata.csv").write_text("image,text\na.jpg,one\n")
    with pytest.raises(DataNotFoundError, match=r"no column file_name.*image,text"):
        load_dataset("folder", tmp_path)
    (tmp_path / "metadata.csv").write_text("")
    with pytest.raises(DataNotFoundError, match="it is empty"):
        load_dataset("folder", tmp_path)


def test_a_field_beyond_csvs_limit_is_reported(tmp_path):
    picture(tmp_path / "a.jpg")
    picture(tmp_path / "b.jpg")
    rows = f"file_name,text\na.jpg,{'x' * 200_000}\nb.jpg,fine\n"
    (tmp_path / "metadata.csv").write_text(rows)
    dataset = load_dataset("folder", tmp_path)
    assert dataset.ids == ("b.jpg",)
    assert ("damaged record", "metadata.csv:2") in problems(dataset)


def test_splits_come_from_the_top_folder(tmp_path):
    for name in ("train/a.jpg", "validation/x/b.jpg", "test/c.jpg", "other/test/d.jpg", "e.jpg"):
        picture(tmp_path / name)
    write_jsonl(tmp_path / "train", {"file_name": "a.jpg", "text": "one"})
    write_jsonl(tmp_path / "validation" / "x", {"file_name": "./b.jpg", "text": "two"})
    write_jsonl(
        tmp_path,
        *({"file_name": f, "text": "t"} for f in ("test/c.jpg", "other/test/d.jpg", "e.jpg")),
    )
    dataset = load_dataset("folder", tmp_path)
    assert dict(zip(dataset.ids, dataset.splits.tolist(), strict=True)) == {
        "train/a.jpg": "train",
        "validation/x/b.jpg": "validation",
        "test/c.jpg": "test",
        "other/test/d.jpg": "train",
        "e.jpg": "train",
    }
    assert len(dataset.report) == 0


def test_names_that_lead_outside_are_refused(tmp_path):
    outside = tmp_path / "outside"
    inside = tmp_path / "inside"
    picture(outside / "secret.jpg")
    picture(inside / "sub" / "a.jpg")
    (inside / "link.jpg").symlink_to(outside / "secret.jpg")
    (inside / "linked").symlink_to(outside)
    (inside / "near.jpg").symlink_to(inside / "sub" / "a.jpg")
    (inside / "ring.jpg").symlink_to(inside / "ring.jpg")
    names = (
        "../outside/secret.jpg",
        str(outside / "secret.jpg"),
        str(inside / "sub" / "a.jpg"),
        "sub/../sub/a.jpg",
        "link.jpg",
        "linked/secret.jpg",
        "near.jpg",
    )
    write_jsonl(inside, *({"file_name": name, "text": "words"} for name in names))
    dataset = load_dataset("folder", inside)
    # A whole path that stays inside is a name of the file.
    assert dataset.ids == ("sub/a.jpg", "near.jpg")
    assert problems(dataset) == [
        ("unsafe path", "linked"),
        *(("unsafe path", f"metadata.jsonl:{line}") for line in (1, 2, 4, 5, 6)),
        ("unlisted file", "link.jpg"),
        ("unlisted file", "ring.jpg"),
    ]


def test_metadata_linked_from_outside_is_refused(tmp_path):
    write_jsonl(tmp_path / "outside", {"file_name": "a.jpg", "text": "words"})
    picture(tmp_path / "inside" / "a.jpg")
    (tmp_path / "inside" / "metadata.jsonl").symlink_to(tmp_path / "outside" / "metadata.jsonl")
    with pytest.raises(DataNotFoundError, match="no metadata"):
        load_dataset("folder", tmp_path / "inside")


def test_every_damaged_record_is_reported_and_the_rest_is_read(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "unlisted.jpg"):
        picture(tmp_path / name)
    (tmp_path / "broken.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:200])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.jpg").touch()
    (tmp_path / "metadata.csv").touch()
    records = [
        "\ufeff" + json.dumps({"file_name": "a.jpg", "text": "good"}),
        '{"file_name": "b.jpg", "te',
        '["b.jpg"]',
        "",
        {"text": "no name"},
        {"file_name": 5, "text": "x"},
        {"file_name": "", "text": "x"},
        {"file_name": "a\0.jpg", "text": "x"},
        {"file_name": "b\ud800.jpg", "text": "x"},
        {"file_name": "n" * 300 + ".jpg", "text": "x"},
        {"file_name": "none.jpg", "text": "x"},
        {"file_name": "folder.jpg", "text": "x"},
        {"file_name": "b.jpg"},
        {"file_name": "b.jpg", "captions": ["one", 2]},
        {"file_name": "b.jpg", "captions": {"en": "one"}},
        {"file_name": "b.jpg", "text": "lone \ud83d half"},
        {"file_name": "b.jpg", "captions": [" ", ""]},
        {"file_name": "c.jpg", "text": "good", "label": ["dog"]},
        {"file_name": "./a.jpg", "text": "again"},
        {"file_name": "broken.jpg", "text": "x"},
        {"file_name": "empty.jpg", "text": "x"},
        "[" * 100_000,
        "",
        {"file_name": "d.jpg", "text": "the last", "label": True},
    ]
    write_jsonl(tmp_path, *records)
    dataset = load_dataset("folder", tmp_path)
    assert dataset.ids == ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    assert dataset.sentences == (("good", "again"), ("one",), ("good",), ("the last",))
    kinds = {
        "damaged record": (2, 3, 5, 6, 7, 8, 9, 14, 15, 16, 18, 22),
        "missing image": (10, 11, 12),
        "missing text": (13,),
        "empty text": (17,),
    }
    found = problems(dataset)
    for kind, lines in kinds.items():
        places = [place for own, place in found if own == kind]
        assert places == [f"metadata.jsonl:{line}" for line in lines], kind
    rest = [problem for problem in found if problem[0] not in kinds]
    assert sorted(rest) == [
        ("broken image", "broken.jpg"),
        ("broken image", "empty.jpg"),
        ("unexpected file", ".git"),
        ("unexpected file", "notes.txt"),
        ("unlisted file", "unlisted.jpg"),
        ("unread table", "metadata.csv"),
    ]
    assert [dataset.label_name(index) for index in range(4)] == [None, None, None, "True"]


def test_nothing_to_read(tmp_path, monkeypatch):
    with pytest.raises(DataNotFoundError, match=r"(?s)has no metadata.*file_name.*CMR_DATA_HOME"):
        load_dataset("folder", tmp_path)
    write_jsonl(tmp_path, {"file_name": "none.jpg", "text": "x"})
    with pytest.raises(DataNotFoundError, match=r"(?s)no complete pair.*missing image: 1"):
        load_dataset("folder", tmp_path)
    monkeypatch.delenv("CMR_DATA_HOME", raising=False)
    with pytest.raises(DataNotFoundError, match=r"(?s)CMR_DATA_HOME is not set.*8k-pictures"):
        load_dataset("flickr8k")
    with pytest.raises(UnknownNameError, match="choose one of: folders"):
        load_dataset("folder", tmp_path, "800/200")


def test_a_pipe_named_like_metadata_is_not_waited_for(tmp_path):
    picture(tmp_path / "a.jpg")
    os.mkfifo(tmp_path / "metadata.jsonl")
    with pytest.raises(DataNotFoundError, match="no metadata"):
        load_dataset("folder", tmp_path)


def test_flickr8k_in_two_parts(colour_folder):
    """The validation pictures become the test split; a test split of its own is left out."""
    whole = load_dataset("flickr8k", colour_folder)
    assert whole.split_names == ("train", "test")
    two = load_dataset("flickr8k", colour_folder, "6000/1000")
    assert (two.protocol, two.split_names) == ("6000/1000", ("train",))
    with pytest.raises(UnknownNameError, match="6000/1000"):
        load_dataset("flickr8k", colour_folder, "800/200")


def test_flickr8k_two_parts_of_the_real_data(data_home):
    two = load_dataset("flickr8k", data_home / "flickr8k", "6000/1000", check_images=False)
    assert (len(two.split("train")), len(two.split("test"))) == (6000, 1000)
    whole = load_dataset("flickr8k", data_home / "flickr8k", check_images=False)
    assert two.split("test").ids == whole.split("validation").ids


def test_a_csv_whose_header_is_no_header(tmp_path):
    picture(tmp_path / "a.jpg")
    (tmp_path / "metadata.csv").write_text("x" * 200_000)
    with pytest.raises(DataNotFoundError, match=r"metadata\.csv .it has no column file_name"):
        load_dataset("folder", tmp_path)


def test_dates_beyond_the_calendar_are_damage(tmp_path):
    picture(tmp_path / "a.jpg")
    days = pa.array([2**31 - 1], pa.int32()).cast(pa.date32())
    table = pa.table({"file_name": ["a.jpg"], "text": ["x"], "day": days})
    pq.write_table(table, tmp_path / "metadata.parquet")
    with pytest.raises(DataNotFoundError, match="a value cannot be read"):
        load_dataset("folder", tmp_path)
