"""Upload a folder to the Hub as one atomic commit."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from cmr_hub.checksums import sha256_of_file
from cmr_hub.hub_errors import hub_errors, with_retries
from cmr_hub.models.files import is_model_file, model_files
from cmr_hub.models.names import GALLERY, PICTURES
from cmr_hub.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

Kind: TypeAlias = Literal["model", "dataset", "space"]


@dataclass(frozen=True)
class Change:
    """The change of one file of the repository by an upload."""

    path: str
    what: Literal["new", "changed", "same", "gone"]
    size: int


class Sent(NamedTuple):
    """The URL of the commit or pull request, and the commit's hash."""

    url: str
    commit: str


@dataclass(frozen=True)
class Upload:
    """Files for a repository.

    Attributes:
        repository: `user/name`; created if it does not exist.
        files: local files by their path in the repository.
        owns: whether to delete a path in the repository that is not in `files`.
        kind: type of the repository.
        private: whether a new repository is private. Default: the account's setting.
        branch: target branch, created if it does not exist. Default: the main branch.
        create_pr: open a pull request instead.
        token: access token of the Hub. Default: the one stored by `hf auth login`.
        space_sdk: SDK of a new Space.
    """

    repository: str
    files: Mapping[str, Path]
    owns: Callable[[str], bool]
    kind: Kind = "model"
    private: bool | None = None
    branch: str | None = None
    create_pr: bool = False
    token: str | None = field(default=None, repr=False)
    space_sdk: str | None = None

    def changes(self) -> list[Change]:
        """Compare the files with the repository, without uploading anything.

        Raises:
            HubError: the Hub cannot be reached.
        """
        with hub_errors(self.repository, self.token):
            return with_retries(self._compare)

    def send(self, message: str) -> Sent:
        """Upload the changed files, and retry after connection errors.

        Files that have arrived are not sent again. If the upload fails, the repository is
        unchanged; a newly created one is removed.

        Args:
            message: commit message.

        Raises:
            HubError: the upload failed.
        """
        with hub_errors(self.repository, self.token), self._created():
            commit = with_retries(lambda: self._commit(message))
        return Sent(str(commit.pr_url or commit.commit_url), str(commit.oid))

    @property
    def _api(self) -> HfApi:
        from huggingface_hub import HfApi

        return HfApi(token=self.token, library_name="cmr-hub", library_version=__version__)

    def _compare(self) -> list[Change]:
        remote = self._listing()
        changes = [
            Change(path, _compared(file, remote.get(path)), file.stat().st_size)
            for path, file in sorted(self.files.items())
        ]
        gone = [
            Change(path, "gone", file.size)
            for path, file in sorted(remote.items())
            if path not in self.files and self.owns(path)
        ]
        return changes + gone

    def _listing(self) -> dict[str, RepoFile]:
        """Return the files of the branch, or of the main branch if it does not exist yet."""
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
        from huggingface_hub.hf_api import RepoFile

        for revision in (self.branch, None):
            try:
                tree = self._api.list_repo_tree(
                    self.repository, recursive=True, revision=revision, repo_type=self.kind
                )
                return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
            except RepositoryNotFoundError:
                return {}
            except RevisionNotFoundError:
                continue
        return {}

    @contextmanager
    def _created(self) -> Iterator[None]:
        """Create repository and branch if necessary; on an error, remove them again."""
        where: dict[str, Any] = {"repo_id": self.repository, "repo_type": self.kind}
        api, undo = self._api, []
        try:
            if not with_retries(lambda: api.repo_exists(**where)):
                with_retries(
                    lambda: api.create_repo(
                        **where, private=self.private, exist_ok=True, space_sdk=self.space_sdk
                    )
                )
                undo.append(lambda: api.delete_repo(**where, missing_ok=True))
            # A pull request starts from the main branch.
            if self.branch is not None and not self.create_pr:
                branch = self.branch
                known = with_retries(lambda: api.list_repo_refs(**where)).branches
                if branch not in {ref.name for ref in known}:
                    with_retries(lambda: api.create_branch(**where, branch=branch, exist_ok=True))
                    undo.append(lambda: api.delete_branch(**where, branch=branch))
            yield
        except BaseException:
            for step in reversed(undo):
                with suppress(Exception):  # so that the first error is raised
                    with_retries(step)
            raise

    def _commit(self, message: str) -> Any:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[Any] = []
        for change in self._compare():
            if change.what == "gone":
                operations.append(CommitOperationDelete(path_in_repo=change.path))
            elif change.what != "same":
                operations.append(
                    CommitOperationAdd(
                        path_in_repo=change.path, path_or_fileobj=self.files[change.path]
                    )
                )
        with warnings.catch_warnings():
            # The Hub warns of the table of the gallery, which belongs to the model.
            warnings.filterwarnings("ignore", ".*about to commit a data file")
            return self._api.create_commit(
                self.repository,
                operations,
                commit_message=message,
                repo_type=self.kind,
                revision=self.branch,
                create_pr=self.create_pr,
            )


def model_upload(directory: Path, repository: str, **options: Any) -> Upload:
    """Return the upload of a model directory.

    The gallery is included only if its pictures are in the directory. Without them it is useless
    on other machines and would reveal local paths.
    """
    names = model_files(directory)
    if not (directory / PICTURES).is_dir():
        names = [name for name in names if not name.startswith(f"{GALLERY}/")]
    files = {name: directory / name for name in names}
    return Upload(repository, files, owns=is_model_file, **options)


def _compared(file: Path, remote: RepoFile | None) -> Literal["new", "changed", "same"]:
    if remote is None:
        return "new"
    if remote.lfs:
        return "same" if sha256_of_file(file) == remote.lfs.sha256 else "changed"
    content = file.read_bytes()
    blob = f"blob {len(content)}\0".encode() + content  # what git hashes
    is_same = hashlib.sha1(blob, usedforsecurity=False).hexdigest() == remote.blob_id
    return "same" if is_same else "changed"
