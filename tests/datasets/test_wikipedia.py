import hashlib
import html
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from cmr_hub.datasets import load_dataset
from cmr_hub.datasets.wikipedia import LISTS, read_lists
from cmr_hub.errors import DataFormatError, DataNotFoundError, UnknownNameError

CATEGORIES = [
    *("art", "biology", "geography", "history", "literature"),
    *("media", "music", "royalty", "sport", "warfare"),
]


def digest(*parts):
    return hashlib.md5(repr(parts).encode(), usedforsecurity=False).hexdigest()


ROWS = [
    (f"{digest('text', n)}-{n % 9}.{n % 4}", digest("image", n), n % 10 + 1) for n in range(2866)
]


def write_lists(root, rows=ROWS):
    lines = ["\t".join(map(str, row)) for row in rows]
    (root / LISTS[0]).write_text("\n".join(lines[:2173]) + "\n")
    (root / LISTS[1]).write_text("\n".join(lines[2173:]) + "\n")
    (root / LISTS[2]).write_text("\n".join(CATEGORIES) + "\n")


def paths(root, row):
    text, image, category = ROWS[row]
    return (
        root / "images" / CATEGORIES[category - 1] / f"{image}.jpg",
        root / "texts" / f"{text}.xml",
    )


def add(root, row, document=None):
    image, text = paths(root, row)
    for path in (image, text):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "red").save(image)
    if document is None:
        document = f"<document><text>\npart one of {row}\n\npart two\n</text></document>"
    text.write_bytes(document.encode() if isinstance(document, str) else document)


@pytest.fixture
def root(tmp_path):
    write_lists(tmp_path)
    for row in (0, 1, 2172, 2173, 2403, 2404, 2865):
        add(tmp_path, row)
    return tmp_path


def problems(dataset):
    return sorted(
        (p.kind, p.path.split("/")[-1]) for p in dataset.report if p.kind != "missing pair"
    )


@pytest.mark.parametrize("protocol", ["2173/693", "2173/231/462"])
def test_real_sample(data_home, protocol):
    base = data_home / "wikipedia"
    dataset = load_dataset("wikipedia", base, protocol)
    assert len(dataset) == 11
    assert dataset.report.counts["missing text"] == 50
    assert dataset.report.counts["missing pair"] == 2866 - 61
    train_ids = {line.split("\t")[0] for line in (base / LISTS[0]).open()}
    for index, item in enumerate(dataset.ids):
        assert (dataset.splits[index] == "train") == (item in train_ids)
        image = dataset.images[index]
        assert image.parent.name == dataset.label_name(index)
        document = (base / "sample" / "texts" / f"{item}.xml").read_text(encoding="utf-8")
        assert image.stem in document
        # An oracle of its own: escape every bare &, then parse with another parser.
        document = re.sub(r"&(?!(amp|lt|gt|quot|apos|#\d+);)", "&amp;", document)
        document = re.sub(r"<(?!/?(document|text|imageset|image)\b)", "&lt;", document)
        expected = ElementTree.fromstring(document).findtext("text")
        assert " ".join(dataset.sentences[index]) == " ".join(html.unescape(expected).split())


def test_real_lists(data_home):
    lists = read_lists(data_home / "wikipedia")
    assert len(lists.texts) == 2866
    assert lists.classes == tuple(CATEGORIES)
    counts = np.bincount(lists.labels).tolist()
    assert counts == [172, 360, 340, 333, 267, 236, 237, 185, 285, 451]


@pytest.mark.parametrize(
    ("protocol", "splits"),
    [
        ("2173/693", ["train"] * 3 + ["test"] * 4),
        ("2173/231/462", ["train"] * 3 + ["validation"] * 2 + ["test"] * 2),
    ],
)
def test_splits_follow_the_whole_lists(root, protocol, splits):
    dataset = load_dataset("wikipedia", root, protocol)
    assert dataset.ids == tuple(ROWS[row][0] for row in (0, 1, 2172, 2173, 2403, 2404, 2865))
    assert dataset.splits.tolist() == splits
    assert dataset.labels.tolist() == [0, 1, 2, 3, 3, 4, 5]
    assert dataset.sentences[0] == ("part one of 0", "part two")
    assert dataset.report.counts == {"missing pair": 2859}


def test_raw_files_may_lie_in_sample(root):
    (root / "sample").mkdir()
    for name in ("images", "texts"):
        (root / name).rename(root / "sample" / name)
    assert len(load_dataset("wikipedia", root)) == 7


def test_damaged_texts_are_repaired_or_left_out_and_reported(root):
    add(root, 10, "<document><text>\nSmith & Sons, 5 &lt; 6\n\nR&amp;D\n</text></document>")
    add(
        root,
        11,
        '<?xml version="1.0" encoding="UTF-8"?><document><text>a &amp; b</text></document>',
    )
    add(root, 12, "<document><text>café</text></document>".encode("latin-1"))
    add(root, 13, "<document><text>cut off in the mid")
    add(root, 14, "<document><text> \n </text></document>")
    add(root, 15, "<document><imageset/></document>")
    add(root, 16, "")
    add(root, 17, "<document><text>a <b>bold</b> word</text><other>no</other></document>")
    dataset = load_dataset("wikipedia", root)
    found = dict(zip(dataset.ids, dataset.sentences, strict=True))
    expected = {
        10: ("Smith & Sons, 5 < 6", "R&D"),
        11: ("a & b",),
        12: ("café",),
        13: ("cut off in the mid",),
        17: ("a bold word",),
    }
    assert {row: found.get(ROWS[row][0]) for row in expected} == expected
    assert not {ROWS[row][0] for row in (14, 15, 16)} & found.keys()
    name = {row: f"{ROWS[row][0]}.xml" for row in range(10, 18)}
    assert problems(dataset) == sorted(
        [
            ("repaired XML", name[10]),
            ("repaired encoding", name[12]),
            ("repaired XML", name[13]),
            ("empty text", name[14]),
            ("empty text", name[15]),
            ("repaired XML", name[16]),
            ("empty text", name[16]),
        ]
    )


def test_documents_with_entities_are_refused(root, tmp_path):
    (tmp_path / "secret").write_text("secret words")
    bomb = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    add(
        root,
        10,
        f'<!DOCTYPE d [<!ENTITY a0 "lol">{bomb}]><document><text>&a9;</text></document>',
    )
    add(
        root,
        11,
        f'<!DOCTYPE d [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>'
        "<document><text>&x;</text></document>",
    )
    dataset = load_dataset("wikipedia", root)
    assert len(dataset) == 7
    assert problems(dataset) == sorted(("unsafe XML", f"{ROWS[row][0]}.xml") for row in (10, 11))


def test_missing_broken_and_stray_files_are_reported(root):
    paths(root, 0)[0].unlink()
    paths(root, 1)[1].unlink()
    image = paths(root, 2172)[0]
    image.write_bytes(image.read_bytes()[:100])
    text_2173 = paths(root, 2173)[1]
    text_2173.unlink()
    text_2173.mkdir()
    # A picture in the wrong category's folder is not taken.
    misplaced = paths(root, 2403)[0]
    misplaced.rename(root / "images" / "art" / misplaced.name)
    (root / "images" / "README.txt").touch()
    (root / "texts" / "extra.xml").touch()
    dataset = load_dataset("wikipedia", root)
    assert dataset.ids == (ROWS[2404][0], ROWS[2865][0])
    assert problems(dataset) == sorted(
        [
            ("missing image", paths(root, 0)[0].name),
            ("missing text", paths(root, 1)[1].name),
            ("broken image", image.name),
            ("broken text", text_2173.name),
            ("missing image", misplaced.name),
            ("unlisted file", misplaced.name),
            ("unexpected file", "README.txt"),
            ("unlisted file", "extra.xml"),
        ]
    )


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("../../../etc/passwd", ROWS[5][1], 1), "line 6: expected text id"),
        ((ROWS[5][0], "../" + ROWS[5][1], 1), "line 6: expected text id"),
        ((ROWS[5][0], ROWS[5][1]), "line 6: expected text id"),
        ((ROWS[5][0], ROWS[5][1], 11), r"categories 1\.\.11, but categories.list has 10"),
        ((ROWS[5][0], ROWS[5][1], 0), r"categories 0\.\.10"),
        ((ROWS[4][0], ROWS[5][1], 1), "the same text twice"),
        ((ROWS[5][0], ROWS[4][1], 1), "the same image twice"),
    ],
)
def test_damaged_lists_are_an_error(root, row, message):
    write_lists(root, [*ROWS[:5], row, *ROWS[6:]])
    with pytest.raises(DataFormatError, match=message):
        load_dataset("wikipedia", root)


def test_truncated_and_binary_lists_are_an_error(root):
    write_lists(root, ROWS[:-1])
    with pytest.raises(DataFormatError, match=r"testset.*has 692 lines, not 693"):
        load_dataset("wikipedia", root)
    (root / LISTS[0]).write_bytes(b"\xff\x80")
    with pytest.raises(DataFormatError, match=r"trainset.*not UTF-8"):
        load_dataset("wikipedia", root)


def test_absent_parts_and_unknown_protocol(root, tmp_path):
    with pytest.raises(UnknownNameError, match=r"2173/693, 2173/231/462"):
        load_dataset("wikipedia", root, "800/200")
    (root / LISTS[2]).unlink()
    with pytest.raises(DataNotFoundError, match=r"(?s)has no categories.list.*svcl"):
        load_dataset("wikipedia", root)
    write_lists(root)
    (root / "texts").rename(root / "words")
    with pytest.raises(DataNotFoundError, match="no images and texts folders"):
        load_dataset("wikipedia", root)
    (root / "texts").mkdir()
    with pytest.raises(DataNotFoundError, match=r"(?s)no complete pair.*missing text: 7"):
        load_dataset("wikipedia", root)


def test_damage_that_would_be_an_error_of_another_kind(root):
    """The number of a character with thousands of digits; elements deeper than anyone nests."""
    add(root, 0, "<document><text>one &#" + "9" * 5000 + "; & two</text></document>")
    depth = 400_000
    add(root, 1, "<a>x" * depth + "<text>deep</text>" + "</a>" * depth)
    dataset = load_dataset("wikipedia", root)
    found = dict(zip(dataset.ids, dataset.sentences, strict=True))
    assert found[ROWS[0][0]][0].startswith("one &#999")
    assert found[ROWS[1][0]] == ("deep",)
