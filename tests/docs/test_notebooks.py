"""The notebooks run from top to bottom without errors."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from documents import HOME
from nbclient import NotebookClient

NOTEBOOKS = sorted((HOME / "docs" / "notebooks").glob("*.ipynb"))
SECONDS = 600


@pytest.mark.documents
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HOME))
    # Other libraries change the backend in this process.
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": tmp_path}}).execute()
    shown = [kind for cell in notebook.cells for output in cell.get("outputs", ())
             for kind in output.get("data", ())]  # fmt: skip
    pictures = "text/html" if "search" in path.stem else "image/png"
    assert pictures in shown


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_stored(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)
