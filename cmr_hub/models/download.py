"""A model's directory from the Hub: fetched once, kept in the Hub's cache, doubted all the same."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cmr_hub.errors import HubError, ModelFormatError
from cmr_hub.models.files import model_patterns
from cmr_hub.models.hub_errors import hub_errors, is_passing, patiently
from cmr_hub.models.inspection import refuse_code, refuse_local_sources, refuse_size
from cmr_hub.models.names import CONFIG
from cmr_hub.version import __version__

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

T = TypeVar("T")

logger = logging.getLogger(__name__)

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubSource:
    """Which model to fetch, and how.

    Attributes:
        repository: `user/name`.
        revision: a branch, a tag or a commit; None is the main branch. A commit that is in the
            cache is read without any request.
        token: of the Hub; None or True takes the one that `hf auth login` kept, False none.
        cache_dir: where to keep it; None is the Hub's own cache.
        local_files_only: ask the Hub for nothing. The environment's HF_HUB_OFFLINE=1 does too.
        force_download: fetch anew what is in the cache.
    """

    repository: str
    revision: str | None = None
    token: str | bool | None = field(default=None, repr=False)
    cache_dir: str | Path | None = None
    local_files_only: bool = False
    force_download: bool = False

    def read(self, read: Callable[[Path], T]) -> T:
        """`read(directory)` of the model's directory in the cache.

        A directory that was in the cache and is damaged is fetched once more.

        Raises:
            HubError: it cannot be fetched.
            ModelFormatError: there are files that no model has, or `read` refuses them.
        """
        with hub_errors(self.repository, self.token):
            directory, was_there = self._fetch()
        try:
            refuse_local_sources(directory)
            return read(directory)
        except ModelFormatError as error:
            if not was_there or self._offline:
                raise
            logger.warning("%s. It is fetched once more.", error)
        with hub_errors(self.repository, self.token):
            directory, _ = replace(self, force_download=True)._fetch()
        refuse_local_sources(directory)
        return read(directory)

    def _fetch(self) -> tuple[Path, bool]:
        """The directory, and whether it was in the cache before."""
        pinned = _COMMIT.fullmatch(self.revision or "") is not None
        if self._offline or (pinned and not self.force_download):
            found = self._cached()
            if found is not None:
                return found, True
            if self._offline:
                raise HubError(
                    f"{self._name} is not whole in the Hub's cache, and the Hub is not to be "
                    "asked (local_files_only, or HF_HUB_OFFLINE is set): load it once without"
                )
        try:
            commit = patiently(self._judge)
        except Exception as error:
            found = None if self.force_download or not is_passing(error) else self._cached()
            if found is None:
                raise
            logger.warning("The Hub does not answer; %s is read from the cache.", self._name)
            return found, True
        was_there = (self._cached(commit) is not None) and not self.force_download
        return self._snapshot(force_download=self.force_download), was_there

    @property
    def _offline(self) -> bool:
        from huggingface_hub import constants

        return self.local_files_only or bool(constants.HF_HUB_OFFLINE)

    @property
    def _name(self) -> str:
        return self.repository + (f" at {self.revision}" if self.revision else "")

    def _judge(self) -> str:
        """Looks at the names and sizes of the files before any is fetched; gives the commit."""
        from huggingface_hub import HfApi

        api = HfApi(library_name="cmr-hub", library_version=__version__, token=self.token)
        info = api.model_info(self.repository, revision=self.revision, files_metadata=True)
        files: list[RepoSibling] = info.siblings or []
        for file in files:
            refuse_code(file.rfilename, self.repository)
            refuse_size(file.rfilename, file.size or 0, self.repository)
        if not any(file.rfilename == CONFIG for file in files):
            raise ModelFormatError(
                f"{self._name} is not a model of this library: it has no {CONFIG}"
            )
        return str(info.sha)

    def _cached(self, revision: str | None = None) -> Path | None:
        from huggingface_hub.errors import LocalEntryNotFoundError

        try:
            return self._snapshot(revision=revision or self.revision, local_files_only=True)
        except LocalEntryNotFoundError:
            return None

    def _snapshot(self, **options: Any) -> Path:
        from huggingface_hub import snapshot_download

        asked: dict[str, Any] = {
            "revision": self.revision,
            "token": self.token,
            "cache_dir": self.cache_dir,
            "allow_patterns": model_patterns(),
            "library_name": "cmr-hub",
            "library_version": __version__,
        }
        return Path(snapshot_download(self.repository, **(asked | options)))
