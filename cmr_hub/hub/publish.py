"""What `cmr publish` sends: a model, and at will a Space that searches with it, and results."""

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
    """The upload of a model directory, with a card made for it if it has none of its own.

    A card that was made for no repository tells another name, so it is made anew.

    Raises:
        ModelFormatError: it cannot be loaded, so it is not sent either.
        HubError: an encoder that it names is not on this machine, and may not be fetched.
    """
    CrossModalModel.from_pretrained(directory, allow_download=allow_download)
    upload = model_upload(
        directory, repository, private=private, branch=branch, create_pr=create_pr
    )
    card = upload.files.get(CARD)
    if card and _is_of_its_own(card, directory, results):
        yield upload
        return
    with TemporaryDirectory() as folder:
        write_card(directory, into=Path(folder), load_name=repository, results=results)
        yield replace(upload, files={**upload.files, **files_in(Path(folder))})


def _is_of_its_own(card: Path, directory: Path, results: Path) -> bool:
    try:
        made = card_text(directory, results=results)
    except ModelFormatError:
        return True  # a card can be written by hand where none can be made
    return card.read_text(encoding="utf-8", errors="replace") != made


@contextmanager
def space_publication(
    repository: str, commit: str, *, private: bool | None = None
) -> Iterator[Upload]:
    """The upload of a Space of the same name that searches with a commit of a repository."""
    with TemporaryDirectory() as folder:
        space = build_space(Path(folder) / "space", repository, revision=commit)
        yield _whole_folder(space, repository, "space", private=private, space_sdk="gradio")


@contextmanager
def results_publication(
    results: Path, repository: str, *, private: bool | None = None
) -> Iterator[Upload]:
    """The upload of a folder of results to the dataset `NAME-results`.

    Raises:
        DataNotFoundError: there is no such folder, or it is empty.
    """
    files = files_in(results)
    if not files:
        raise DataNotFoundError(f"there are no results in {results}: give their folder")
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

What CMR Hub measured: `runs.jsonl` has one line for each run, with its protocol, seed, settings and
versions; `report.md` and the tables are made of it by `cmr report`.
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
