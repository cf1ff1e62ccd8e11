"""Load a model with its gallery (`load`), or a gallery with its model (`open_gallery`)."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cmr_hub.downloads import downloads, downloads_allowed
from cmr_hub.encoders.backends import backend_placement
from cmr_hub.encoders.backends.recorded import recorded
from cmr_hub.encoders.devices import Placement
from cmr_hub.encoders.lazy import Lazy
from cmr_hub.encoders.pretrained import PREFIX
from cmr_hub.encoders.pretrained.files import MODULES, OPEN_CLIP_CONFIG, PretrainedFiles, needed
from cmr_hub.encoders.texts.storage import SETTINGS_FILE
from cmr_hub.errors import CMRError, HubError, ModelFormatError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.local import LocalStore
from cmr_hub.gallery.manifest import holds_gallery
from cmr_hub.gallery.milvus_server import MilvusAddress
from cmr_hub.hub_download import HubSource, is_repository, patterns_of
from cmr_hub.models.catalogue import default_revision, resolve, suggestions
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.files import choose_model_files, is_of_a_model
from cmr_hub.models.names import CONFIG, GALLERY, HISTORY, IMAGE_WEIGHTS, PICTURES
from cmr_hub.models.towers import ImageTower, TextTower
from cmr_hub.outside import read_json
from cmr_hub.releases import (
    FORMER_NAMES,
    PHOTOS,
    RELEASES,
    default_release,
    is_release,
    release_directory,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.pretrained.backbone import Backbone
    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.gallery.store import Store

logger = logging.getLogger(__name__)

_OURS = (HISTORY, SETTINGS_FILE, IMAGE_WEIGHTS)
"""Files by which a model of this library is recognised; each model has at least one of them."""


def load(
    name: str | Path | None = None,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    allow_download: bool = False,
    device: str = "auto",
    precision: str | None = None,
    backend: str = "auto",
    int8: bool = False,
) -> CrossModalModel:
    """Load a model. Its gallery, if it has one, is attached for `model.search`.

    Args:
        name: A directory written by `cmr train` or `model.save_pretrained`; the name of a release
            in this package; or a pretrained dual encoder (CLIP, SigLIP, SigLIP 2, ...): a short
            name from `cmr models`, or a directory or a repository on the Hub (`user/name` or
            `user/name@revision`) that sentence-transformers or open_clip can load. A repository
            may also contain a model of this library. Default: `photos`, which is part of the
            package, with a gallery. Its encoders are dependencies, so that no weights are
            downloaded; if they are not installed, the default is the smaller `sketch`.
        revision, token, cache_dir, local_files_only, force_download: For a repository, as in
            huggingface_hub. A full commit hash as `revision` pins it: once it is in the cache, it
            is read without any request.
        allow_download: Also download repositories that the model refers to, such as the encoder
            that it was trained on. By default they are only looked up in the caches, so that the
            author of a model cannot decide which servers this machine contacts.
        device: `auto` (the first accelerator that torch finds, otherwise the CPU), `cpu`, `cuda`,
            `cuda:1`, `mps`.
        precision: See `CrossModalModel.to`.
        backend: Runtime of the networks: `torch`, or on the CPU `onnx` or `openvino`. `auto` is
            torch if there is an accelerator or a precision is given; otherwise see
            `CrossModalModel.with_backend`.
        int8: See `CrossModalModel.with_backend`. A gallery saved with the model is then not
            attached, as its vectors are float32.

    Raises:
        ModelFormatError: There is no such model, or a file of it is missing, damaged, inconsistent
            or could run code.
        HubError: The repository cannot be read.
        UnknownNameError: There is no such backend.
        CMRError: A required library is not installed, the device does not exist, or a device or
            a precision is given with a backend other than torch.

    Example:
        >>> from cmr_hub import load                                        # doctest: +SKIP
        >>> load().search("two red buses on a street at night", k=5)        # doctest: +SKIP
        >>> load("runs/pascal").search("two men on a motorbike", k=5)       # doctest: +SKIP
        >>> load("openai/clip-vit-base-patch32").encode_texts(["a dog"])    # doctest: +SKIP
    """
    backend_placement(backend, int8=int8)
    if backend in ("onnx", "openvino"):
        if device not in ("auto", "cpu") or precision is not None:
            raise CMRError(
                f"{backend} runs on the CPU, in float32 or int8: omit device and precision"
            )
        device = "cpu"
    if name is None:
        name = default_release()
    plain = str(name).removeprefix(PREFIX)
    directory = Path(plain)
    if directory.is_dir():
        with downloads(allowed=allow_download):
            if is_of_a_model(directory / CONFIG) or not _holds_encoder(directory):
                model = _open(directory)
            else:
                model = _dual_encoder(PretrainedFiles.of(directory), backend)
        model.source = str(directory.resolve())
    elif is_release(plain):
        model = _open(release_directory(plain))
        model.source = FORMER_NAMES.get(plain, plain)
    else:
        base_name, _, name_revision = plain.partition("@")
        entry = resolve(base_name)
        repository = base_name if entry is None else entry.repository
        if not isinstance(name, str) or not is_repository(repository) or directory.exists():
            similar = suggestions(base_name)
            raise ModelFormatError(
                f"there is no model directory {directory}, and no release "
                f"({', '.join(RELEASES)}) or short name (see `cmr models`) of this name; "
                + (f"did you mean {' or '.join(similar)}? Otherwise " if similar else "")
                + f"train one with `cmr train --out {directory}`"
            )
        chosen = revision or name_revision or default_revision(repository)
        source = HubSource(repository, chosen, token, cache_dir, local_files_only, force_download)
        try:
            model = _from_hub(source, backend, allow_download=allow_download)
        except HubError as error:
            raise HubError(
                f"there is no model directory {plain}; and on the Hub: {error}"
            ) from None
    placement = Placement.of(device, precision)
    if not placement.is_reference:
        model.to(placement.device, precision=placement.precision)
    if backend == "auto" and not (placement.is_reference and precision is None):
        return model
    return _with_backend(model, backend, int8=int8)


def _with_backend(model: CrossModalModel, backend: str, *, int8: bool) -> CrossModalModel:
    """Return the model in another backend, with its gallery if the vectors stay comparable."""
    other = model.with_backend(backend, int8=int8)
    if isinstance(model.gallery, Gallery) and other is not model:
        if other.fingerprint == model.fingerprint:
            other.gallery = Gallery(model.gallery.store, other)
        else:
            logger.warning(
                "the gallery of %s has float32 vectors and is not attached to the int8 model; make "
                "one with `cmr index --int8`",
                model.source,
            )
    return other


def _from_hub(source: HubSource, backend: str, *, allow_download: bool) -> CrossModalModel:
    """Load a model of this library or a dual encoder, depending on the repository's files."""

    def choose(sizes: Mapping[str, int], where: str) -> Sequence[str]:
        if any(name in sizes for name in _OURS):
            return choose_model_files(sizes, where)
        return patterns_of(needed(sizes, where)[1])

    def read(directory: Path) -> CrossModalModel:
        with downloads(allowed=allow_download and not source.local_files_only):
            if any((directory / name).exists() for name in _OURS):
                # A downloaded gallery may show its own pictures only, not other local files.
                model = CrossModalModel.read_downloaded(directory)
                _attach(model, directory, pictures=directory / PICTURES)
            else:
                files = PretrainedFiles.of(
                    directory, repository=source.repository, commit=directory.name
                )
                model = _dual_encoder(files, backend)
        model.source = f"{source.repository}@{directory.name}"
        return model

    return source.read(choose, read)


def _dual_encoder(files: PretrainedFiles, backend: str) -> CrossModalModel:
    """Return a model of both sides of a pretrained encoder, without projectors.

    With a backend other than torch, the torch network of an encoder that is already exported is
    built only when it is needed.
    """
    from cmr_hub.encoders.images.pretrained import PretrainedImageEncoder, fingerprint_of_side
    from cmr_hub.encoders.pretrained.load import Backbones
    from cmr_hub.encoders.texts.pretrained import PretrainedTextEncoder

    networks = Backbones()
    known = recorded(files) if backend in ("onnx", "openvino") else None
    network: Backbone = known or networks.get(files)
    for side, inputs in (("image", "pictures"), ("text", "texts")):
        if (network.image_dim if side == "image" else network.text_dim) is None:
            raise ModelFormatError(
                f"{files.name} does not encode {inputs}, so it cannot be used for search by "
                f"itself. Train projectors on it: cmr train DATASET "
                f"--{'text' if side == 'image' else 'image'}-encoder hf:{files.name}"
            )
    if known is None:
        return CrossModalModel(
            ImageTower(PretrainedImageEncoder(network), None),
            TextTower(PretrainedTextEncoder(network), None),
        )
    texts = PretrainedTextEncoder(known)
    image: Lazy[ImageEncoder] = Lazy(
        lambda: PretrainedImageEncoder(networks.get(files.read_again())),
        texts.name,
        texts.source,
        known.require("image"),
        fingerprint_of_side(files, "image"),
    )
    text: Lazy[TextEncoder] = Lazy(
        lambda: PretrainedTextEncoder(networks.get(files.read_again())),
        texts.name,
        texts.source,
        texts.dim,
        texts.fingerprint,
        lambda: texts,
    )
    return CrossModalModel(ImageTower(image, None), TextTower(text, None))


def _holds_encoder(directory: Path) -> bool:
    if any((directory / name).is_file() for name in (MODULES, OPEN_CLIP_CONFIG)):
        return True
    try:
        content = read_json(directory / CONFIG)
    except (OSError, ValueError, RecursionError):
        return False
    # Repositories of timm have an architecture instead.
    return isinstance(content, dict) and ("model_type" in content or "architecture" in content)


def _open(directory: Path) -> CrossModalModel:
    model = CrossModalModel.from_pretrained(directory, allow_download=downloads_allowed())
    _attach(model, directory)
    return model


def _attach(model: CrossModalModel, directory: Path, pictures: Path | None = None) -> None:
    if (directory / GALLERY).exists():
        model.gallery = Gallery.open(directory / GALLERY, model, root=pictures)


def open_gallery(
    name: str | Path,
    model: str | Path | None = None,
    *,
    allow_download: bool = False,
    device: str = "auto",
    backend: str = "auto",
    int8: bool = False,
) -> Gallery:
    """Open a gallery together with the model that computed its vectors.

    Args:
        name: Directory of a gallery or its URL on a Milvus server
            (`http://host:19530/collection`); or a model's name as in `load`, for the gallery saved
            with it.
        model: Name as in `load`. Default: the model recorded in the gallery.
        allow_download: Download that model from the Hub if it is not in the cache.
        device, backend, int8: See `load`.

    Raises:
        ModelFormatError: There is no gallery, it is incomplete, or its vectors belong to another
            model, or to the same model in int8 instead of float32 or vice versa.
        HubError: Its model is not in the cache, and cannot or must not be downloaded.
    """

    def opened(model_name: str | Path) -> CrossModalModel:
        return load(
            model_name, allow_download=allow_download, device=device, backend=backend, int8=int8
        )

    directory = Path(name)
    if MilvusAddress.is_one(name) or holds_gallery(directory):
        store = open_store(name)
        if model is not None:
            return Gallery(store, opened(model))
        if store.model_name is None:
            raise ModelFormatError(
                f"{name} does not record which model it was made with; name it with --model"
            )
        with downloads(allowed=allow_download):
            made_with = opened(store.model_name)
        if store.model_name in FORMER_NAMES:
            _recommend_photos(store.model_name)
        return Gallery(store, made_with)
    has_model = (directory / CONFIG).exists() or is_release(str(name))
    if not has_model and (directory.is_dir() or not is_repository(str(name))):
        raise ModelFormatError(
            f"there is no gallery in {directory}, and no model with one; make one with `cmr index`"
        )
    gallery = opened(name).gallery
    if not isinstance(gallery, Gallery):
        raise ModelFormatError(f"the model {name} has no gallery; make one with `cmr index`")
    return gallery


@cache
def _recommend_photos(model_name: str) -> None:
    """Log once that a better model exists for galleries of an earlier version."""
    if default_release() == PHOTOS:
        logger.warning(
            "this gallery was made with %s, now called %s; %s finds far more in photographs. To "
            "index again: cmr index FOLDER --out NEW_DIRECTORY --model %s",
            model_name,
            FORMER_NAMES[model_name],
            PHOTOS,
            PHOTOS,
        )


def open_store(name: str | Path) -> Store:
    """Open the rows of a gallery, without a model.

    Args:
        name: A directory or a URL, as in `open_gallery`.

    Raises:
        ModelFormatError: There is no gallery, or it is incomplete.
        CMRError: The server does not respond.
    """
    if MilvusAddress.is_one(name):
        from cmr_hub.gallery.milvus import MilvusStore

        return MilvusStore(MilvusAddress.parse(str(name)))
    return LocalStore.open(name)
