"""Download datasets from the Hugging Face Hub as folders of pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

from cmr_hub.cache_home import default_cache_home
from cmr_hub.gallery.indexing.unpack import unpack_pictures
from cmr_hub.hub_errors import hub_errors, patiently

_OWN = ".cache"  # records of huggingface_hub about its downloads


def fetch_dataset(name: str) -> Path:
    """Download a dataset repository to the cache, or update the cached files.

    Pictures in Parquet files, as in most datasets on the Hub, are written to files. All revisions
    share one folder, so that a gallery can be updated to another revision.

    Args:
        name: `owner/name`, or `owner/name@revision` for a branch, tag or commit.

    Returns:
        The folder of the pictures.

    Raises:
        HubError: the dataset or revision does not exist, or the Hub cannot be reached.
        DataFormatError: a Parquet file is damaged.
    """
    from huggingface_hub import HfApi, snapshot_download

    repository, _, revision = name.partition("@")
    home = default_cache_home() / "hub"
    folder = home / repository.replace("/", "--")
    with hub_errors(name):
        info = patiently(lambda: HfApi().dataset_info(repository, revision=revision or None))
        patiently(
            lambda: snapshot_download(
                repository, repo_type="dataset", revision=info.sha, local_dir=folder
            )
        )
    _remove_others(folder, {sibling.rfilename for sibling in info.siblings or ()})
    return unpack_pictures(folder, folder.with_name(f"{folder.name}.pictures"), str(info.sha))


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove the files of other revisions."""
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        name = path.relative_to(folder)
        if name.parts[0] != _OWN and name.as_posix() not in names:
            path.unlink()
    for path in folder.iterdir():
        if path.is_dir() and path.name != _OWN and not any(p.is_file() for p in path.rglob("*")):
            shutil.rmtree(path)
