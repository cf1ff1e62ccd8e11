from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cmr_hub.errors import ModelFormatError, QueryError
from cmr_hub.gallery.items import Item, checked_items, items_table, join_root, split_root


def paths(table: pa.Table) -> list[str | None]:
    return table.column("path").to_pylist()


def test_items_become_rows_with_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = items_table(
        [
            Item("a", Path("x/../a.jpg"), ("one", "two"), "dog", {"year": 2008}),
            Item("b", None, (), None, {"tags": ["new", "red"]}),
        ]
    )
    assert table.to_pylist() == [
        {
            "id": "a",
            "path": str(tmp_path / "a.jpg"),
            "sentences": ["one", "two"],
            "label": "dog",
            "year": 2008,
            "tags": None,
        },
        {
            "id": "b",
            "path": None,
            "sentences": [],
            "label": None,
            "year": None,
            "tags": ["new", "red"],
        },
    ]


@pytest.mark.parametrize(
    ("names", "root"),
    [
        (["/data/dog/1.jpg", "/data/dog/2.jpg"], "/data/dog"),
        (["/data/dog/1.jpg", "/data/cat/1.jpg", None], "/data"),
        (["/data/dog/1.jpg", "/data/dogs/1.jpg", "/data/dog!/1.jpg"], "/data"),
        (["/data/a.jpg", "/data/a.jpg.d/b.jpg"], "/data"),
        (["/a.jpg", "/usr/b.jpg"], "/"),
        (["/größe/é.jpg", "/größe/z.jpg"], "/größe"),
        ([None, None], None),
    ],
)
def test_paths_are_split_at_the_deepest_shared_folder(
    names: list[str | None], root: str | None
) -> None:
    table = items_table(
        [Item(str(i), None if name is None else Path(name)) for i, name in enumerate(names)]
    )
    found, relative = split_root(table)
    assert found == root
    assert not any(name and name.startswith("/") for name in paths(relative))
    assert paths(join_root(relative, root)) == names
    if root is not None:
        moved = join_root(relative, "/moved/")
        expected = [name and "/moved" + name.removeprefix(root.rstrip("/")) for name in names]
        assert paths(moved) == expected


@pytest.mark.parametrize("path", ["/etc/passwd", "../up.jpg", "a/../../up.jpg", "", "a//b", "./a"])
def test_a_stored_path_cannot_leave_the_root(path: str) -> None:
    table = pa.table({"path": pa.array(["fine/a.jpg", path])})
    with pytest.raises(ModelFormatError, match="out of their root"):
        join_root(table, "/data")


def test_relative_paths_need_a_root() -> None:
    with pytest.raises(ModelFormatError, match="no root"):
        join_root(pa.table({"path": pa.array(["a.jpg"])}), None)


def test_a_table_with_other_string_types_and_column_order_is_taken() -> None:
    table = pa.table(
        {
            "year": [2008, 2009],
            "label": pa.array(["dog", None]).dictionary_encode(),
            "sentences": pa.array([["a"], None], pa.large_list(pa.large_string())),
            "path": pa.array([None, None], pa.null()),
            "id": pa.array(["a", "b"], pa.large_string()),
        }
    )
    checked = checked_items(table)
    assert checked.column_names == ["id", "path", "sentences", "label", "year"]
    assert checked.to_pylist()[0] == {
        "id": "a",
        "path": None,
        "sentences": ["a"],
        "label": "dog",
        "year": 2008,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": None}, "no column id"),
        ({"label": None}, "no column label"),
        ({"id": pa.array(["a", None])}, "no id"),
        ({"id": pa.array(["a", "a"])}, "2 items have the id 'a'"),
        ({"path": pa.array(["/a.jpg", "b.jpg"])}, "absolute"),
        ({"path": pa.array(["/a.jpg", "/x/../b.jpg"])}, "absolute"),
        ({"path": pa.array(["/a.jpg", ""])}, "absolute"),
        ({"sentences": pa.array(["one", "two"])}, "column sentences must be"),
        ({"modality": pa.array(["image", "text"])}, "can be called 'modality'"),
    ],
)
def test_a_wrong_table_is_refused_in_words(change: dict[str, pa.Array], message: str) -> None:
    columns = {
        "id": pa.array(["a", "b"]),
        "path": pa.array(["/a.jpg", "/b.jpg"]),
        "sentences": pa.array([["one"], []], pa.list_(pa.string())),
        "label": pa.array(["dog", None]),
    }
    columns = {name: array for name, array in {**columns, **change}.items() if array is not None}
    with pytest.raises(ModelFormatError, match=message):
        checked_items(pa.table(columns))


def test_items_that_make_no_table_are_refused_in_words() -> None:
    with pytest.raises(ModelFormatError, match="'label'"):
        items_table([Item("a", metadata={"label": "dog"})])
    with pytest.raises(ModelFormatError, match="do not form a table"):
        items_table([Item("a", metadata={"year": 2008}), Item("b", metadata={"year": "old"})])
    with pytest.raises(ModelFormatError, match="do not form a table"):
        items_table([Item("a", Path("/broken\udcff.jpg"))])
    with pytest.raises(ModelFormatError, match="2 items have the id"):
        items_table([Item("a"), Item("a")])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sentences": "a dog"}, "sentences must be a list, not 'a dog'"),
        ({"sentences": ("a dog", None)}, "sentences must be a list of str, not of None"),
        ({"sentences": 3}, "sentences must be a list"),
        ({"sentences": b"a dog"}, "sentences must be a list"),
        ({"id": 3}, "the id of an item must be a string, not 3"),
        ({"path": np.zeros((500, 500))}, r"the path .* not ndarray of shape \(500, 500\)"),
        ({"label": 1}, "the label of an item must be a string or None, not 1"),
        ({"metadata": None}, "the metadata of an item must be a mapping"),
    ],
)
def test_values_of_another_kind_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(QueryError, match=message):
        Item(**{"id": "a", **arguments})


def test_any_list_of_sentences_will_do() -> None:
    for sentences in (["a", "b"], iter(["a", "b"]), np.array(["a", "b"])):
        assert Item("a", "b.jpg", sentences).sentences == ("a", "b")


@pytest.mark.parametrize("item", [Item("a" * 20_000), Item("a", Path("/" + "a/" * 10_000))])
def test_names_that_no_system_has_are_refused(item: Item) -> None:
    with pytest.raises(ModelFormatError, match=r"an item has a (id|path) of [\d,]+ bytes; the lim"):
        items_table([item])
