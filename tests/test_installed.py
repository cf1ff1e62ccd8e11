from importlib import metadata
from pathlib import Path

from cmr_hub import installed
from cmr_hub.installed import file_beside_package


class Installed(type(Path())):
    """A file as the metadata of an installed package names it."""

    def locate(self):
        return self


def test_in_a_clone():
    assert file_beside_package("LICENSE") == Path(__file__).parents[1] / "LICENSE"


def test_of_a_wheel(monkeypatch, tmp_path):
    monkeypatch.setattr(installed, "__file__", str(tmp_path / "site" / "cmr_hub" / "installed.py"))
    (tmp_path / "model_card.md").write_text("of the wheel")
    # Of another package, in the folder where all are.
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "model_card.md").write_text("of another")
    files = [Installed(tmp_path / "other"), Installed(tmp_path / "model_card.md")]
    monkeypatch.setattr(installed.metadata, "files", lambda name: files)
    assert file_beside_package("model_card.md") == tmp_path / "model_card.md"
    assert file_beside_package("absent") is None


def test_of_a_copied_package(monkeypatch, tmp_path):
    def not_installed(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(installed, "__file__", str(tmp_path / "cmr_hub" / "installed.py"))
    monkeypatch.setattr(installed.metadata, "files", not_installed)
    assert file_beside_package("LICENSE") is None
