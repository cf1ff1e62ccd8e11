import pytest

from cmr_hub.datasets.location import find_dataset
from cmr_hub.errors import DataNotFoundError


def find(root=None, required=()):
    return find_dataset(
        "toys", "toys", root, layout="a/b.jpg", home_page="http://home", required=required
    )


def test_given_folder_goes_before_the_variable(tmp_path, monkeypatch):
    (tmp_path / "toys").mkdir()
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("CMR_DATA_HOME", str(tmp_path))
    assert find() == tmp_path / "toys"
    assert find(tmp_path / "mine") == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    assert find("mine") == tmp_path / "mine"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find("~/mine") == tmp_path / "mine"


def test_absence_tells_reason_home_page_layout_and_variable(tmp_path, monkeypatch):
    monkeypatch.delenv("CMR_DATA_HOME", raising=False)
    (tmp_path / "file").touch()
    cases = {
        None: "CMR_DATA_HOME is not set",
        tmp_path / "none": "none does not exist",
        tmp_path / "file": "file is not a folder",
        tmp_path: "has no dataset, lists",
    }
    for root, reason in cases.items():
        with pytest.raises(DataNotFoundError) as caught:
            find(root, required=("dataset", "lists"))
        message = str(caught.value)
        for part in (reason, "toys was not found", "http://home", "a/b.jpg", "CMR_DATA_HOME"):
            assert part in message


def test_an_empty_variable_counts_as_unset(monkeypatch):
    monkeypatch.setenv("CMR_DATA_HOME", "")
    with pytest.raises(DataNotFoundError, match="CMR_DATA_HOME is not set"):
        find()
