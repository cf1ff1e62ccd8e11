import logging
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cmr_hub import registry
from cmr_hub.datasets import DATASETS, PairDataset, dataset_names, load_dataset
from cmr_hub.errors import DataFormatError, DataNotFoundError, UnknownNameError


@pytest.fixture
def root(tmp_path):
    for number in range(3):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number}.png")
    rows = "".join(f"{number}.png,words\n" for number in range(3))
    (tmp_path / "metadata.csv").write_text(f"file_name,text\n{rows}")
    return tmp_path


def test_every_name_has_a_reader():
    assert dataset_names() == list(DATASETS)
    assert all(callable(reader) for reader in DATASETS.values())


def test_unknown_dataset():
    with pytest.raises(UnknownNameError, match=r"'pascal'; choose one of: pascal-sentence, wiki"):
        load_dataset("pascal")


def test_sketches_are_a_package_of_their_own(monkeypatch):
    assert DATASETS.package_of("sketches") == "cmr-hub-sketches"
    assert DATASETS.package_of("flickr8k") is None
    monkeypatch.setattr(registry, "_declared", lambda group: {})
    with pytest.raises(UnknownNameError, match=r"'sketches' is not installed: pip install cmr-hub"):
        load_dataset("sketches")


def test_whole_data_is_read_in_silence(root, caplog):
    with caplog.at_level(logging.WARNING):
        dataset = load_dataset("folder", root)
    assert isinstance(dataset, PairDataset)
    assert len(dataset) == 3
    assert caplog.records == []


def test_problems_are_logged_and_the_check_can_be_left_out(root, caplog):
    (root / "1.png").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert load_dataset("folder", root).ids == ("0.png", "2.png")
    (record,) = caplog.records
    assert "folder: 1 problem\n  broken image: 1" in record.getMessage()
    assert "1.png (the file is empty)" in record.getMessage()
    unchecked = load_dataset("folder", root, check_images=False)
    assert len(unchecked) == 3
    assert np.array_equal(unchecked.labels, [-1, -1, -1])


def test_nothing_usable_is_an_error(root):
    for number in range(3):
        (root / f"{number}.png").write_bytes(b"")
    with pytest.raises(DataFormatError, match=r"(?s)nothing in folder.*broken image: 3"):
        load_dataset("folder", root)


def test_import_is_light():
    code = (
        "import sys, cmr_hub.datasets; "
        "print([m for m in ('torch', 'scipy', 'PIL', 'sklearn') if m in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[]"


def test_files_that_may_not_be_read_are_told(root, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "metadata.csv")

    monkeypatch.setattr("cmr_hub.datasets.metadata.table_rows", refuse)
    with pytest.raises(DataNotFoundError, match=r"(?s)unread table: 1.*Permission denied"):
        load_dataset("folder", root)
    monkeypatch.setattr("cmr_hub.datasets.folder.find_dataset", refuse)
    with pytest.raises(DataNotFoundError, match=r"folder cannot be read: .*Permission denied"):
        load_dataset("folder", root)
