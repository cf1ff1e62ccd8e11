"""Find pretrained encoders by name: a directory, or a repository on the Hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cmr_hub.downloads import HOW_TO_ALLOW, downloads_allowed
from cmr_hub.encoders.pretrained import PREFIX
from cmr_hub.encoders.pretrained.files import Library, PretrainedFiles, needed
from cmr_hub.errors import CMRError, ModelFormatError, shown
from cmr_hub.hub_download import HubSource, is_repository, patterns_of


def locate(
    name: str | Path, library: Library | None = None, *, only_hub: bool = False
) -> PretrainedFiles:
    """Return the files of a pretrained encoder.

    Args:
        name: A directory, or a repository on the Hub as `user/name` or `user/name@revision`;
            optionally prefixed with `hf:`.
        library: Library to use if both can read it.
        only_hub: Ignore local directories, because the name was read from a file.

    Raises:
        ModelFormatError: The directory does not exist, has no encoder, or is not safe to load.
        HubError: The repository cannot be downloaded.
    """
    plain = str(name).removeprefix(PREFIX)
    directory = Path(plain).expanduser()
    if directory.is_dir() and not only_hub:
        return PretrainedFiles.of(directory, library)
    repository, _, revision = plain.partition("@")
    if not is_repository(repository):
        raise ModelFormatError(
            f"{plain} is neither an existing directory nor a repository on the Hub: name a "
            "repository as user/name or user/name@revision"
        )

    def choose(sizes: Mapping[str, int], where: str) -> Sequence[str]:
        return patterns_of(needed(sizes, where, library)[1])

    def read(directory: Path) -> PretrainedFiles:
        return PretrainedFiles.of(directory, library, repository, directory.name)

    return HubSource(repository, revision or None).read(choose, read)


def cached_or_allowed(repository: str, named_by: str) -> None:
    """Raise CMRError if using a repository that another one names needs a forbidden download."""
    from huggingface_hub import try_to_load_from_cache

    if downloads_allowed() or Path(repository).exists():
        return
    try:
        is_valid = is_repository(repository) or "/" not in repository
        is_cached = isinstance(try_to_load_from_cache(repository, "config.json"), str)
    except ValueError:
        is_valid = is_cached = False
    if not (is_valid and is_cached):
        raise CMRError(
            f"{named_by} names {shown(repository)}, whose configuration is not on this machine. "
            f"It is not downloaded automatically: {HOW_TO_ALLOW}"
        )
