"""The uploads of `cmr publish`: a model and, optionally, a Space and a dataset of results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cmr_hub.errors import DataNotFoundError, ModelFormatError
from cmr_hub.hub.bundle import files_in
from cmr_hub.hub.card import card_text, write_card
from cmr_hub.hub.space import build_space
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.names import CARD
from cmr_hub.models.upload import Kind, Upload, model_upload

_GIT: Final = ".gitattributes"


@contextmanager
def publication(
    directory: Path,
    repository: str,
    *,
    results: Path,
    private: bool | None = None,
    branch: str | None = None,
    create_pr: bool = False,
    allow_download: bool = False,
) -> Iterator[Upload]:
    """Prepare the upload of a model directory; generate a card unless one was written by hand.

    An earlier generated card is replaced, because the card shows the name of the repository.

    Raises:
        ModelFormatError: the model cannot be loaded, so it is not uploaded either.
        HubError: an encoder of the model is not cached, and downloads are not allowed.
    """
    CrossModalModel.from_pretrained(directory, allow_download=allow_download)
    upload = model_upload(
        directory, repository, private=private, branch=branch, create_pr=create_pr
    )
    card = upload.files.get(CARD)
    if card and _is_handwritten(card, directory, results):
        yield upload
        return
    with TemporaryDirectory() as folder:
        write_card(directory, into=Path(folder), load_name=repository, results=results)
        yield replace(upload, files={**upload.files, **files_in(Path(folder))})


def _is_handwritten(card: Path, directory: Path, results: Path) -> bool:
    try:
        generated = card_text(directory, results=results)
    except ModelFormatError:
        return True  # no card can be generated for this model
    return card.read_text(encoding="utf-8", errors="replace") != generated


@contextmanager
def space_publication(
    repository: str, commit: str, *, private: bool | None = None
) -> Iterator[Upload]:
    """Prepare the upload of a Space that searches with a commit of the model `repository`."""
    with TemporaryDirectory() as folder:
        space = build_space(Path(folder) / "space", repository, revision=commit)
        yield _whole_folder(space, repository, "space", private=private, space_sdk="gradio")


@contextmanager
def results_publication(
    results: Path, repository: str, *, private: bool | None = None
) -> Iterator[Upload]:
    """Prepare the upload of a folder of results to the dataset `NAME-results`.

    Raises:
        DataNotFoundError: the folder does not exist or is empty.
    """
    files = files_in(results)
    if not files:
        raise DataNotFoundError(f"there are no results in {results}: pass the folder with them")
    with TemporaryDirectory() as folder:
        card = Path(folder) / CARD
        card.write_text(_RESULTS_CARD.format(repository=repository), encoding="utf-8")
        upload = _whole_folder(results, f"{repository}-results", "dataset", private=private)
        yield replace(upload, files={CARD: card, **upload.files})


_RESULTS_CARD: Final = """---
license: apache-2.0
tags:
- cross-modal-retrieval
pretty_name: Results of {repository}
---

# Results of {repository}

Experiment results of CMR Hub: `runs.jsonl` has one line per run, with its protocol, seed, settings
and versions; `cmr report` generates `report.md` and the tables from it.
"""


def _whole_folder(
    folder: Path, repository: str, kind: Kind, *, private: bool | None, space_sdk: str | None = None
) -> Upload:
    return Upload(
        repository,
        files_in(folder),
        owns=lambda path: path != _GIT,
        kind=kind,
        private=private,
        space_sdk=space_sdk,
    )
