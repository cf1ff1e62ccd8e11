"""Datasets of the Hugging Face Hub, as a folder on this machine."""

from __future__ import annotations

from pathlib import Path

from cmr_hub.errors import DataNotFoundError


def fetch_dataset(name: str) -> Path:
    """Downloads a dataset repository, or finds it in the Hub's own cache.

    Args:
        name: `owner/name`, or `owner/name@revision` for a branch, tag or commit.

    Returns:
        The folder of its files.

    Raises:
        DataNotFoundError: no such dataset or revision, or the Hub cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    repository, _, revision = name.partition("@")
    try:
        return Path(snapshot_download(repository, repo_type="dataset", revision=revision or None))
    except HFValidationError as error:
        raise DataNotFoundError(f"{repository!r} is not a dataset's name: OWNER/NAME") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise DataNotFoundError(
            f"the dataset {name} cannot be had from the Hub: {error}"
        ) from error
