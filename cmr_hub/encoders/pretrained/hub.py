"""Pretrained encoders by name: a directory, or a repository on the Hub."""

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
    """The files of a pretrained encoder.

    Args:
        name: a directory, or a repository on the Hub as `user/name` or `user/name@revision`; with
            or without `hf:` before it.
        library: read it with this one, where both could.
        only_hub: the name stands in a file, which may point at no directory of this machine.

    Raises:
        ModelFormatError: there is no such directory, no encoder in it, or it is not safe to load.
        HubError: the repository cannot be fetched.
    """
    plain = str(name).removeprefix(PREFIX)
    directory = Path(plain).expanduser()
    if directory.is_dir() and not only_hub:
        return PretrainedFiles.of(directory, library)
    repository, _, revision = plain.partition("@")
    if not is_repository(repository):
        raise ModelFormatError(
            f"there is no directory {plain}, and it cannot be a repository on the Hub: name one as "
            "user/name or user/name@revision"
        )
    return read_repository(HubSource(repository, revision or None), library)


def read_repository(source: HubSource, library: Library | None = None) -> PretrainedFiles:
    """The encoder of a repository, fetched if need be: only the files that are read."""

    def choose(sizes: Mapping[str, int], where: str) -> Sequence[str]:
        return patterns_of(needed(sizes, where, library)[1])

    def read(directory: Path) -> PretrainedFiles:
        return PretrainedFiles.of(directory, library, source.repository, directory.name)

    return source.read(choose, read)


def cached_or_allowed(repository: str, named_by: str) -> None:
    """Raises CMRError where a repository that another one names would have to be fetched."""
    from huggingface_hub import try_to_load_from_cache

    if downloads_allowed() or Path(repository).exists():
        return
    try:
        there = is_repository(repository) or "/" not in repository
        cached = isinstance(try_to_load_from_cache(repository, "config.json"), str)
    except ValueError:
        there = cached = False
    if not (there and cached):
        raise CMRError(
            f"{named_by} names {shown(repository)}, whose configuration is not on this machine. "
            f"It is not fetched unasked: {HOW_TO_ALLOW}"
        )
