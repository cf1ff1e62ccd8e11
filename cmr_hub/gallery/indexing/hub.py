"""Datasets of the Hugging Face Hub, as a folder of pictures on this machine."""

from __future__ import annotations

import shutil
from pathlib import Path

from cmr_hub.cache_home import default_cache_home
from cmr_hub.gallery.indexing.unpack import unpack_pictures
from cmr_hub.hub_errors import hub_errors, patiently

_OWN = ".cache"  # where huggingface_hub notes what it has downloaded


def fetch_dataset(name: str) -> Path:
    """Downloads a dataset repository into the cache, or brings that up to date.

    Pictures that lie in Parquet files, as most datasets of the Hub have them, become files. A
    dataset has one folder, whatever the revision: a gallery of it is brought up to date with the
    next one.

    Args:
        name: `owner/name`, or `owner/name@revision` for a branch, tag or commit.

    Returns:
        The folder of its pictures.

    Raises:
        HubError: no such dataset or revision, or the Hub cannot be reached.
        DataFormatError: a Parquet file is damaged.
    """
    from huggingface_hub import HfApi, snapshot_download

    repository, _, revision = name.partition("@")
    home = default_cache_home() / "hub"
    folder = home / repository.replace("/", "--")
    with hub_errors(name):
        told = patiently(lambda: HfApi().dataset_info(repository, revision=revision or None))
        patiently(
            lambda: snapshot_download(
                repository, repo_type="dataset", revision=told.sha, local_dir=folder
            )
        )
    _remove_others(folder, {sibling.rfilename for sibling in told.siblings or ()})
    return unpack_pictures(folder, folder.with_name(f"{folder.name}.pictures"), str(told.sha))


def _remove_others(folder: Path, names: set[str]) -> None:
    """Removes what an older revision had and this one has not."""
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        name = path.relative_to(folder)
        if name.parts[0] != _OWN and name.as_posix() not in names:
            path.unlink()
    for path in folder.iterdir():
        if path.is_dir() and path.name != _OWN and not any(p.is_file() for p in path.rglob("*")):
            shutil.rmtree(path)
