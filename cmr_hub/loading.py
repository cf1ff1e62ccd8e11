"""`load`: a model and the gallery saved with it; `open_gallery`: a gallery and its model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cmr_hub.errors import HubError, ModelFormatError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.local import LocalStore
from cmr_hub.gallery.manifest import holds_gallery
from cmr_hub.gallery.milvus_server import MilvusAddress
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.download import HubSource
from cmr_hub.models.inspection import is_repository
from cmr_hub.models.names import CONFIG, GALLERY, PICTURES
from cmr_hub.releases import RELEASES, release_directory

if TYPE_CHECKING:
    from cmr_hub.gallery.store import Store


def load(
    name: str | Path = "default",
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
) -> CrossModalModel:
    """Reads a model; its gallery, if it has one, is attached for `model.search`.

    Args:
        name: a directory that `cmr train` or `model.save_pretrained` wrote, the name of a
            release that comes with the package, or a repository on the Hub, `user/name`. Without
            it the embedded default: no weights are downloaded, and its gallery of sketches is
            ready to be searched.
        revision, token, cache_dir, local_files_only, force_download: of a repository, as in
            huggingface_hub. `revision` with a whole commit pins it: once in the cache, it is read
            without any request.

    Raises:
        ModelFormatError: none of the three, or a file of it is missing, damaged, could run code
            or does not fit.
        HubError: the repository cannot be read.

    Example:
        >>> from cmr_hub import load                                        # doctest: +SKIP
        >>> load().search("two red buses on a street at night", k=5)        # doctest: +SKIP
        >>> load("runs/pascal").search("two men on a motorbike", k=5)       # doctest: +SKIP
        >>> load("user/cmr-pascal", revision="v1")                          # doctest: +SKIP
    """
    directory = Path(name)
    if directory.is_dir():
        return _open(directory)
    if str(name) in RELEASES:
        return _open(release_directory(str(name)))
    if isinstance(name, str) and is_repository(name) and not directory.exists():
        source = HubSource(name, revision, token, cache_dir, local_files_only, force_download)
        try:
            # A downloaded gallery may show no other pictures of this machine than its own.
            return source.read(lambda fetched: _open(fetched, pictures=fetched / PICTURES))
        except HubError as error:
            raise HubError(f"there is no model directory {name}; and on the Hub: {error}") from None
    raise ModelFormatError(
        f"there is no model directory {directory}, and no release of this name "
        f"({', '.join(RELEASES)}); train one with `cmr train --out {directory}`"
    )


def _open(directory: Path, pictures: Path | None = None) -> CrossModalModel:
    model = CrossModalModel.from_pretrained(directory)
    if (directory / GALLERY).exists():
        model.gallery = Gallery.open(directory / GALLERY, model, root=pictures)
    return model


def open_gallery(name: str | Path, model: str | Path | None = None) -> Gallery:
    """Opens a gallery together with the model that made its vectors.

    Args:
        name: a gallery's directory or its address on a Milvus server
            (`http://host:19530/collection`); or what `load` takes, for the gallery saved with a
            model.
        model: what `load` takes; default the one that the gallery says it was made with.

    Raises:
        ModelFormatError: there is no gallery, it is not whole, or it is of another model.
    """
    directory = Path(name)
    if MilvusAddress.is_one(name) or holds_gallery(directory):
        store = open_store(name)
        chosen = model if model is not None else store.model_name
        if chosen is None:
            raise ModelFormatError(
                f"{name} does not say which model it was made with; name it with --model"
            )
        return Gallery(store, load(chosen))
    has_model = (directory / CONFIG).exists() or str(name) in RELEASES
    if not has_model and (directory.is_dir() or not is_repository(str(name))):
        raise ModelFormatError(
            f"there is no gallery in {directory}, and no model with one; make one with `cmr index`"
        )
    found = load(name).gallery
    if not isinstance(found, Gallery):
        raise ModelFormatError(f"the model {name} has no gallery; make one with `cmr index`")
    return found


def open_store(name: str | Path) -> Store:
    """Opens the rows of a gallery, without a model.

    Args:
        name: a directory or an address, as for `open_gallery`.

    Raises:
        ModelFormatError: there is no gallery, or it is not whole.
        CMRError: the server does not answer.
    """
    if MilvusAddress.is_one(name):
        from cmr_hub.gallery.milvus import MilvusStore

        return MilvusStore(MilvusAddress.parse(str(name)))
    return LocalStore.open(name)


def model_name(name: str | Path) -> str:
    """What a gallery notes of its model: its name, or the absolute path of a directory."""
    directory = Path(name)
    return str(directory.resolve()) if directory.is_dir() else str(name)
