import json

import pytest

from cmr_hub.errors import ModelFormatError
from cmr_hub.models.files import read_history, refuse_foreign_directory


def test_absent_empty_or_a_models_directory_may_be_replaced(tmp_path):
    refuse_foreign_directory(tmp_path / "absent")
    refuse_foreign_directory(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"library_name": "cmr-hub"}))
    (tmp_path / "model.safetensors").write_bytes(b"half")
    (tmp_path / "gallery").mkdir()
    refuse_foreign_directory(tmp_path)


@pytest.mark.parametrize(
    "files",
    [
        {"thesis.txt": "years of work"},
        {"config.json": "{}"},
        {"config.json": '{"library_name": "transformers"}'},
        {"config.json": "damaged"},
        {"config.json": '["cmr-hub"]'},
        {"config.json": '{"library_name": "cmr-hub"}', "thesis.txt": "years of work"},
        {"model.safetensors": "of another library"},
        {".git": "hidden"},
    ],
)
def test_other_files_are_refused(tmp_path, files):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(ModelFormatError, match=rf"not part of a model \(.*{max(files)}"):
        refuse_foreign_directory(tmp_path)


def test_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelFormatError, match="is a file: choose a directory"):
        refuse_foreign_directory(tmp_path / "file")


@pytest.mark.parametrize("content", ["", "{}", "[1]", "[[]]", "[" * 100_000])
def test_history_of_another_kind(tmp_path, content):
    (tmp_path / "history.json").write_text(content)
    with pytest.raises(ModelFormatError, match=r"history\.json"):
        read_history(tmp_path / "history.json")
