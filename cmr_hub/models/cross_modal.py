"""CrossModalModel: two encoders, two projectors, one common space."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from PIL import Image

from cmr_hub.atomic import atomic_directory
from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.errors import CMRError, ModelFormatError, QueryError, UnknownWordsError
from cmr_hub.models.card import model_card
from cmr_hub.models.download import HubSource
from cmr_hub.models.files import StoredImageEncoder, refuse_foreign_directory
from cmr_hub.models.inspection import is_repository
from cmr_hub.models.names import CARD, GALLERY, PICTURES
from cmr_hub.models.stored import ModelParts, read_parts, write_parts
from cmr_hub.models.upload import model_upload

if TYPE_CHECKING:
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.models.centroids import ClassCentroids
    from cmr_hub.models.projector import Projector
    from cmr_hub.models.search_index import SearchIndex
    from cmr_hub.types import Document, FloatArray, ImageSource, JSONObject, Modality


class CrossModalModel:
    """Encodes pictures and sentences into one common space, and searches there.

    Args:
        image_projector, text_projector: into the same dimension d.
        image_encoder: an encoder, a stored one that is built when it is first needed, or None for
            a model of precomputed features.
        text_encoder: a fitted encoder, or None likewise.
        classes: names of the labels it was trained with; may be empty.
        centroids: of those classes; None without classes.
        training: what was run and measured, as JSON; kept in `config.json`.
        history: one row per epoch with every named part; kept in `history.json`.

    Raises:
        ModelFormatError: the projectors' dimensions differ, or there are classes without centroids
            or centroids without classes.

    Example:
        >>> model = cmr_hub.load("runs/pascal")                             # doctest: +SKIP
        >>> for hit in model.search("two men on a motorbike", k=5):         # doctest: +SKIP
        ...     print(hit.rank, hit.score, hit.path)
    """

    def __init__(
        self,
        image_projector: Projector,
        text_projector: Projector,
        *,
        image_encoder: ImageEncoder | StoredImageEncoder | None = None,
        text_encoder: TextEncoder | None = None,
        classes: Sequence[str] = (),
        centroids: ClassCentroids | None = None,
        training: JSONObject | None = None,
        history: Sequence[Mapping[str, float]] = (),
    ) -> None:
        if image_projector.dim != text_projector.dim:
            raise ModelFormatError(
                f"no common space: the image projector has {image_projector.dim} dimensions, "
                f"the text projector {text_projector.dim}"
            )
        if bool(classes) != (centroids is not None):
            raise ModelFormatError("a model has both classes and centroids, or neither")
        self.image_projector = image_projector.eval()
        self.text_projector = text_projector.eval()
        self._image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.classes = tuple(classes)
        self.centroids = centroids
        self.training = dict(training or {})
        self.history = [dict(row) for row in history]
        self.gallery: SearchIndex | None = None

    @property
    def dim(self) -> int:
        """Dimension d of the common space."""
        return self.image_projector.dim

    @property
    def image_encoder(self) -> ImageEncoder | None:
        """The image encoder; loaded now if it was not yet."""
        if isinstance(self._image_encoder, StoredImageEncoder):
            self._image_encoder = self._image_encoder.load()
        return self._image_encoder

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides an embedding. Galleries keep it and refuse another's."""
        digest = hashlib.sha256()
        for projector in (self.image_projector, self.text_projector):
            state = {name: value.numpy() for name, value in projector.state_dict().items()}
            digest.update(sha256_of_arrays(state).encode())
            digest.update(json.dumps(projector.settings, sort_keys=True).encode())
        if self._image_encoder is not None:
            digest.update(self._image_encoder.fingerprint.encode())
        if self.text_encoder is not None:
            settings, arrays = self.text_encoder.state()
            digest.update(json.dumps([self.text_encoder.name, settings], sort_keys=True).encode())
            digest.update(sha256_of_arrays(arrays).encode())
        return digest.hexdigest()

    def encode_images(self, images: Sequence[ImageSource], *, progress: bool = False) -> FloatArray:
        """Paths or open pictures → (N, d) float32 unit vectors.

        Raises:
            ImageError: a picture cannot be read; the message names it.
            CMRError: the model was trained on precomputed features and has no image encoder.
        """
        encoder = self.image_encoder
        if encoder is None:
            raise CMRError(
                "this model was trained on precomputed features and cannot read pictures; "
                "give feature rows to model.image_projector.embed instead"
            )
        _refuse_single(images, "images")
        return self.image_projector.embed(encoder.encode(list(images), progress=progress))

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """Strings → (N, d) float32 unit vectors.

        Raises:
            UnknownWordsError: a text is empty or has no word that the text encoder knows.
            CMRError: the model was trained on precomputed features and has no text encoder.
        """
        _refuse_single(texts, "texts")
        return self.encode_documents([(text,) for text in texts])

    def encode_documents(self, documents: Sequence[Document]) -> FloatArray:
        """Documents (all sentences of an item each) → (N, d) float32 unit vectors.

        Raises:
            UnknownWordsError, CMRError: as `encode_texts`.
        """
        encoder = self.text_encoder
        if encoder is None:
            raise CMRError(
                "this model was trained on precomputed features and cannot read text; "
                "give feature rows to model.text_projector.embed instead"
            )
        for document in documents:
            if not encoder.knows(document):
                raise UnknownWordsError(_nothing_known(encoder, document))
        return self.text_projector.embed(encoder.transform(documents))

    def predict_classes(self, embeddings: FloatArray, modality: Modality) -> list[str]:
        """(N, d) unit vectors of one modality → the names of their nearest classes.

        Raises:
            CMRError: the model was trained without classes.
        """
        if self.centroids is None:
            raise CMRError("this model was trained without classes and cannot name one")
        return [self.classes[index] for index in self.centroids.predict(embeddings, modality)]

    def search(
        self,
        text: str | None = None,
        *,
        image: ImageSource | None = None,
        k: int = 10,
        target: Modality | None = None,
        **options: Any,
    ) -> list[Any]:
        """The items of the attached gallery nearest to a sentence or a picture.

        Args:
            text: a sentence; or
            image: a path or an open picture. Exactly one of the two.
            k: how many hits at most.
            target: search among pictures (`"image"`) or among texts (`"text"`). Default: the
                other modality than the query's, if the gallery has it.
            options: as `Gallery.search` has: offset, where, min_score, distinct, clear.

        Returns:
            Up to k `Hit`s, best first: id, score (cosine), rank, path, sentences, label.

        Raises:
            QueryError: not exactly one query, no gallery, or a k below 1.
            UnknownWordsError, ImageError: as the encoders.
        """
        if (text is None) == (image is None):
            raise QueryError("give one query: either a text or an image")
        if self.gallery is None:
            raise QueryError(
                "this model has no gallery to search in; set model.gallery, "
                "or load a model directory that was saved with one"
            )
        other: Modality = "image" if image is None else "text"
        if target is None and other in self.gallery.targets:
            target = other
        if image is not None:
            vector = self.encode_images([image])[0]
        else:
            vector = self.encode_texts([text or ""])[0]
        kind: Modality = "text" if image is None else "image"
        return self.gallery.search(vector, k, target, query_modality=kind, **options)

    def save_pretrained(self, directory: str | Path, *, pictures: bool = False) -> None:
        """Writes the model and its gallery, all or nothing.

        `config.json`, `model.safetensors`, the text encoder as JSON (+ safetensors), the image
        encoder's weights where they cannot be downloaded again, `history.json`, `gallery/`.

        Args:
            directory: new, empty, or a model's.
            pictures: copy the gallery's pictures into `pictures/` too, so that the directory can
                be moved to another machine; else the gallery points to where they are.

        Raises:
            ModelFormatError: the directory holds something else than a model; it is left alone.
        """
        refuse_foreign_directory(Path(directory))
        with atomic_directory(directory) as fresh:
            if self.gallery is not None and pictures:
                self.gallery.copy_pictures(fresh / PICTURES)
            write_parts(self._parts(), fresh)
            if self.gallery is not None:
                self.gallery.save(fresh / GALLERY, root=f"../{PICTURES}" if pictures else None)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str = "Upload model with CMR Hub",
        private: bool | None = None,
        token: str | None = None,
        branch: str | None = None,
        create_pr: bool = False,
        pictures: bool = False,
    ) -> str:
        """Sends the model with its card to a repository on the Hub, as one commit.

        What is there and is a model's is replaced. `cmr publish` does the same for a directory,
        shows first what will change, and asks.

        Args:
            repo_id: `user/name`; it is made if it is not there.
            commit_message, private, token, branch, create_pr: as in huggingface_hub.
            pictures: send the gallery with its pictures too. Mind whose they are.

        Returns:
            The address of the commit, or of the pull request.

        Raises:
            HubError: it cannot be sent; the repository is then as it was.
        """
        with TemporaryDirectory() as folder:
            directory = Path(folder) / "model"
            self.save_pretrained(directory, pictures=pictures)
            card = model_card(self, title=repo_id.rsplit("/", maxsplit=1)[-1], load_name=repo_id)
            (directory / CARD).write_text(str(card), encoding="utf-8")
            upload = model_upload(
                directory,
                repo_id,
                private=private,
                branch=branch,
                create_pr=create_pr,
                token=token,
            )
            return upload.send(commit_message).url

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
    ) -> Self:
        """Reads what `save_pretrained` wrote; embeddings are equal to the bit.

        The gallery is not attached: `cmr_hub.load` does both. The image encoder's network is
        built when it is first needed.

        Args:
            name: a directory, or a repository on the Hub, `user/name`.
            revision, token, cache_dir, local_files_only, force_download: of a repository, as in
                huggingface_hub; see `HubSource`.

        Raises:
            ModelFormatError: a file is missing, damaged, could run code, or does not fit the
                config; it is named.
            HubError: the repository cannot be read.
        """
        if isinstance(name, str) and is_repository(name) and not Path(name).exists():
            return HubSource(
                name, revision, token, cache_dir, local_files_only, force_download
            ).read(cls._read)
        return cls._read(Path(name))

    @classmethod
    def _read(cls, directory: Path) -> Self:
        parts = read_parts(directory)
        return cls(
            parts.image_projector,
            parts.text_projector,
            image_encoder=parts.image_encoder,
            text_encoder=parts.text_encoder,
            classes=parts.classes,
            centroids=parts.centroids,
            training=parts.training,
            history=parts.history,
        )

    def _parts(self) -> ModelParts:
        return ModelParts(
            self.image_projector,
            self.text_projector,
            self._image_encoder,
            self.text_encoder,
            self.classes,
            self.centroids,
            self.training,
            self.history,
        )


def _refuse_single(items: object, name: str) -> None:
    """A lone string is a sequence too, of letters: almost surely a slip."""
    if isinstance(items, str | Path | Image.Image):
        raise CMRError(f"{name} must be a list; got the single value {str(items)[:80]!r}")


def _nothing_known(encoder: TextEncoder, document: Document) -> str:
    text = " ".join(document)
    unknown = encoder.unknown_words(text)
    if not unknown:
        return "the text has no words; type a sentence"
    shown = ", ".join(word[:40] for word in unknown[:8])
    more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
    return f"no word of the text is known to this model: {shown}{more}; use other words"
