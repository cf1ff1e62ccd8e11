"""CrossModalModel: an image tower and a text tower with one common space."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

from cmr_hub.atomic import atomic_directory
from cmr_hub.downloads import downloads
from cmr_hub.encoders.backends import backend_placement, has_onnx_runtime
from cmr_hub.encoders.backends.convert import export_image_encoder, export_text_encoder
from cmr_hub.encoders.devices import Placement
from cmr_hub.errors import CMRError, ModelFormatError, QueryError, shown
from cmr_hub.hub_download import HubSource, is_repository
from cmr_hub.models.files import choose_model_files, refuse_foreign_directory
from cmr_hub.models.inspection import refuse_local_sources
from cmr_hub.models.names import CARD, GALLERY, PICTURES
from cmr_hub.models.stored import ModelParts, read_parts, write_parts
from cmr_hub.models.towers import ImageTower, TextTower, refuse_file_name, refuse_single
from cmr_hub.models.zero_shot import DEFAULT_LOGIT_SCALE, TEMPLATE, ClassProbability, classify
from cmr_hub.notebook import html_table
from cmr_hub.outside import shortened

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cmr_hub.hit import Hit
    from cmr_hub.models.centroids import ClassCentroids
    from cmr_hub.models.search_index import SearchIndex
    from cmr_hub.types import Document, FloatArray, ImageSource, JSONObject, Modality, OnError


class CrossModalModel:
    """A model that encodes pictures and sentences into one common space, and searches there.

    Args:
        image: the image tower: an encoder, a projector, or both in sequence.
        text: the text tower, with the same output dimension d.
        classes: names of the training classes; may be empty.
        centroids: centroids of the classes; None without classes.
        training: record of the training and its figures, as JSON; saved in `config.json`.
        history: one row per epoch with every named part; saved in `history.json`.
        source: the argument with which `cmr_hub.load` loads this model again, if any.

    Raises:
        ModelFormatError: the towers' dimensions differ, or there are classes without centroids
            or centroids without classes.

    Example:
        >>> model = cmr_hub.load("runs/pascal")                             # doctest: +SKIP
        >>> for hit in model.search("two men on a motorbike", k=5):         # doctest: +SKIP
        ...     print(hit.rank, hit.score, hit.path)
    """

    def __init__(
        self,
        image: ImageTower,
        text: TextTower,
        *,
        classes: Sequence[str] = (),
        centroids: ClassCentroids | None = None,
        training: JSONObject | None = None,
        history: Sequence[Mapping[str, float]] = (),
        source: str | None = None,
    ) -> None:
        if image.dim != text.dim:
            raise ModelFormatError(
                f"the towers have no common space: the image tower has {image.dim} dimensions, "
                f"the text tower {text.dim}"
            )
        if bool(classes) != (centroids is not None):
            raise ModelFormatError("a model must have both classes and centroids, or neither")
        self.image, self.text = image, text
        self.classes = tuple(classes)
        self.centroids = centroids
        self.training = dict(training or {})
        self.history = [dict(row) for row in history]
        self.source = source
        self.gallery: SearchIndex | None = None

    def __repr__(self) -> str:
        parts = [f"dim={self.dim}"]
        parts += [f"image={self.image.encoder_name!r}", f"text={self.text.encoder_name!r}"]
        if self.classes:
            parts.append(f"classes={len(self.classes)}")
        if self.gallery is not None:
            parts.append(f"gallery={len(self.gallery)} items")
        return f"{type(self).__name__}({', '.join(parts)})"

    def _repr_html_(self) -> str:
        facts = {
            "model": self.source or "in memory",
            "image encoder": self.image.encoder_name,
            "text encoder": self.text.encoder_name,
            "dimensions": self.dim,
            "trained on": self.training.get("dataset"),
            "classes": ", ".join(self.classes),
            "gallery": None if self.gallery is None else f"{len(self.gallery):,} items",
        }
        rows = [(name, shortened(str(fact))) for name, fact in facts.items() if fact]
        return html_table(rows, caption=type(self).__name__)

    @property
    def dim(self) -> int:
        """Dimension d of the common space."""
        return self.image.dim

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that affects embeddings; galleries compare it to refuse others."""
        digest = hashlib.sha256()
        for projector in (self.image.projector, self.text.projector):
            if projector is not None:
                digest.update(projector.sha256.encode())
                digest.update(json.dumps(projector.settings, sort_keys=True).encode())
        for tower in (self.image, self.text):
            digest.update(tower.identity.encode())
        return digest.hexdigest()

    def to(self, device: str = "auto", *, precision: str | None = None) -> Self:
        """Move the encoders to a device; embeddings are always returned as float32.

        Encoders that use another backend by default use torch afterwards.

        Args:
            device: `auto` (the first accelerator, else the CPU), `cpu`, `cuda`, `cuda:1`, `mps`.
            precision: `float32`, `bfloat16` or `float16`. Default: float32 on the CPU; on an
                accelerator bfloat16 if supported, otherwise float16.

        Raises:
            CMRError: the device or the precision is not available.
        """
        placement = Placement.of(device, precision)
        self.image, self.text = self.image.movable, self.text.movable
        self.image.to(placement)
        self.text.to(placement)
        return self

    def with_backend(self, backend: str, *, int8: bool = False) -> Self:
        """Return a copy of this model whose networks run on the CPU with another runtime.

        A network is exported when it is first needed, checked against torch, and cached in
        `$CMR_CACHE_HOME/exports`; its torch weights are then freed unless they are used elsewhere.
        The gallery is not attached; use `cmr_hub.load` to attach one.

        Args:
            backend: `onnx` (ONNX Runtime) or `openvino`; `torch` returns this model; `auto` uses
                ONNX Runtime for encoders that are much faster with it and export within seconds,
                and torch for all others and if an export fails.
            int8: use 8-bit weights, which are faster and slightly less accurate. They change the
                fingerprint, so existing galleries are refused. float32 does not change it.

        Raises:
            UnknownNameError: there is no such backend.
            CMRError: int8 with torch. When a network is first needed: the backend's package is
                missing, or the network cannot be exported.
        """
        placement = backend_placement(backend, int8=int8)
        is_auto = backend == "auto"
        if backend == "torch" or (is_auto and not has_onnx_runtime()):
            return self
        image, text = self.image, self.text
        if image.exports_quickly or not is_auto:
            image = image.run_by(export_image_encoder, placement, fallback=is_auto)
        if text.exports_quickly or not is_auto:
            text = text.run_by(export_text_encoder, placement, fallback=is_auto)
        return type(self)(
            image,
            text,
            classes=self.classes,
            centroids=self.centroids,
            training=self.training,
            history=self.history,
            source=self.source,
        )

    def encode_images(
        self,
        images: Sequence[ImageSource],
        *,
        batch_size: int | None = None,
        on_error: OnError = "raise",
        progress: bool = False,
    ) -> FloatArray:
        """Encode pictures as (N, d) float32 unit vectors.

        Args:
            images: N pictures: paths, `PIL.Image` objects, bytes of files, or uint8 arrays
                (H, W, 3) in RGB or (H, W) in grey.
            batch_size: number of pictures per pass of the network. Default: depends on the device.
            on_error: action if a picture cannot be read. "raise": raise `ImageError`. "none":
                fill its row with NaN, so that row i still belongs to picture i. "skip": leave out
                its row and log a warning.
            progress: show a progress bar.

        Returns:
            (N, d) float32; fewer rows with "skip".

        Raises:
            ImageError: a picture cannot be read; the message names it.
            CMRError: `images` is not a list, `on_error` or `batch_size` is invalid, or the model
                was trained on precomputed features and has no image encoder.

        Example:
            >>> rows = model.encode_images(paths, on_error="none")          # doctest: +SKIP
            >>> readable = ~np.isnan(rows).any(axis=1)                      # doctest: +SKIP
        """
        return self.image.encode(
            images, batch_size=batch_size, on_error=on_error, progress=progress
        )

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """Encode strings as (N, d) float32 unit vectors.

        Raises:
            UnknownWordsError: a text is empty or has no word in the encoder's vocabulary.
            CMRError: the model was trained on precomputed features and has no text encoder.
        """
        refuse_single(texts, "texts")
        return self.encode_documents([(text,) for text in texts])

    def encode_documents(self, documents: Sequence[Document]) -> FloatArray:
        """Encode documents, each with all sentences of an item, as (N, d) float32 unit vectors.

        Raises:
            UnknownWordsError, CMRError: see `encode_texts`.
        """
        refuse_single(documents, "documents")
        return self.text.encode(documents)

    def predict_classes(self, embeddings: FloatArray, modality: Modality) -> list[str]:
        """Return the names of the nearest classes of (N, d) unit vectors of one modality.

        Raises:
            CMRError: the model was trained without classes.
        """
        if self.centroids is None:
            raise CMRError("this model was trained without classes: use `classify` instead")
        return [self.classes[index] for index in self.centroids.predict(embeddings, modality)]

    def without_slot(
        self, queries: npt.NDArray[np.float64], target: Modality
    ) -> npt.NDArray[np.float64]:
        """Return (Q, d) query vectors to compare with vectors of the modality `target`.

        Posteriors have a slot for each modality (see `Projector`), which makes their inner product
        across modalities the probability of the same class. Within a modality both vectors fill
        the same slot, so it is set to zero in the queries. Other vectors are returned unchanged.
        """
        tower = self.image if target == "image" else self.text
        output = "" if tower.projector is None else tower.projector.settings["output"]
        if not output.startswith("posterior"):
            return queries
        queries = queries.copy()
        queries[:, int(output[-1]) - 2] = 0.0
        return queries

    @property
    def logit_scale(self) -> float:
        """Factor of the cosines before the softmax of `classify`, 1 / temperature.

        Pretrained dual encoders have learnt it.
        """
        return self.text.logit_scale or DEFAULT_LOGIT_SCALE

    def classify(
        self,
        images: Sequence[ImageSource],
        names: Sequence[str],
        *,
        template: str | Sequence[str] = TEMPLATE,
        temperature: float | None = None,
        progress: bool = False,
    ) -> list[list[ClassProbability]]:
        """Classify pictures by the names of classes (zero-shot).

            p(c | v) = softmax_c(v · w_c / T),  v of the picture, w_c of the name in the template

        Source: Radford et al. 2021 (CLIP), section 3.1.

        Args:
            images: N pictures; see `encode_images`.
            names: names of C classes, as used in captions.
            template: a text with `{}` for the name; or several, whose vectors are averaged.
            temperature: T. Default: 1 / `logit_scale`.
            progress: show a progress bar.

        Returns:
            All names with their probabilities for each picture, best first.

        Raises:
            QueryError: the names, the template or the temperature are invalid.
            UnknownWordsError, ImageError, CMRError: raised by the encoders.

        Example:
            >>> model.classify(["rex.jpg"], ["a dog", "a receipt"])         # doctest: +SKIP
            [[ClassProbability(name='a dog', probability=0.99), ...]]
        """
        return classify(
            self, images, names, template=template, temperature=temperature, progress=progress
        )

    def unknown_words(self, text: str) -> list[str]:
        """Return the distinct words of a text outside the vocabulary, which search ignores.

        Networks with subword tokens have no unknown words.
        """
        return self.text.unknown_words(text)

    def search(
        self,
        text: str | None = None,
        *,
        image: ImageSource | None = None,
        k: int = 10,
        target: Modality | None = None,
        offset: int = 0,
        where: str | None = None,
        min_score: float | None = None,
        distinct: bool | float = True,
        clear: float | None = None,
    ) -> list[Hit]:
        """Return the items of the attached gallery that are nearest to a sentence or a picture.

        Pass either `text` or `image`.

        Args:
            text: a sentence.
            image: a path, a `PIL.Image`, the bytes of a file, or a uint8 array (H, W, 3) or (H, W).
            k: maximum number of hits.
            target: search pictures (`"image"`) or texts (`"text"`). Default: pictures, if the
                gallery has any.
            offset: number of best hits to skip; page 3 with 10 hits per page is offset=20.
            where: a condition on the columns, for example "label = 'dog' AND year >= 2008".
            min_score: minimum cosine similarity of a hit, in [-1, 1].
            distinct: True returns one hit for each group of identical pictures, False all of them;
                a number such as .98 also leaves out items more similar than this to a better hit.
            clear: minimum `z` of a hit, in standard deviations; see `Gallery.search`.

        Returns:
            Up to k `Hit`s, best first: id, score (cosine), rank, path, sentences, label.

        Raises:
            QueryError: there is not exactly one query, no gallery is attached, k is below 1, or
                the text is the name of a picture file.
            UnknownWordsError, ImageError: raised by the encoders.
        """
        if (text is None) == (image is None):
            raise QueryError("pass one query: either a text or an image")
        if self.gallery is None:
            raise QueryError(
                "this model has no gallery to search: set model.gallery, or load a model "
                "directory that was saved with one"
            )
        if image is not None:
            vector = self.encode_images([image])[0]
        else:
            if not isinstance(text, str):
                raise QueryError(f"text must be a string, not {shown(text)}")
            refuse_file_name(text)
            vector = self.encode_texts([text])[0]
        kind: Modality = "text" if image is None else "image"
        return self.gallery.search(
            vector,
            k,
            target,
            offset,
            where=where,
            min_score=min_score,
            distinct=distinct,
            clear=clear,
            query_modality=kind,
        )

    def save_pretrained(self, directory: str | Path, *, pictures: bool = False) -> None:
        """Save the model and its gallery atomically.

        Writes `config.json`, `model.safetensors`, the text encoder as JSON (+ safetensors), the
        image encoder's weights if they cannot be downloaded again, `history.json`, `gallery/`.

        Args:
            directory: a new or empty directory, or an earlier model directory to replace.
            pictures: copy the gallery's pictures into `pictures/`, so that the directory can be
                moved to another machine. Otherwise the gallery stores their paths.

        Raises:
            ModelFormatError: the directory has other files; it is not changed.
        """
        refuse_foreign_directory(Path(directory))
        with atomic_directory(directory) as fresh:
            if self.gallery is not None and pictures:
                self.gallery.copy_pictures(fresh / PICTURES)
            write_parts(
                ModelParts(
                    *(self.image, self.text, self.classes),
                    *(self.centroids, self.training, self.history),
                ),
                fresh,
            )
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
        """Upload the model with its card to a repository on the Hub, as one commit.

        Existing model files are replaced. `cmr publish` uploads a directory in the same way, after
        showing the changes and asking for confirmation.

        Args:
            repo_id: `user/name`; created if it does not exist.
            commit_message, private, token, branch, create_pr: see huggingface_hub.
            pictures: upload the gallery with its pictures too. Check their copyright first.

        Returns:
            The URL of the commit or of the pull request.

        Raises:
            HubError: the upload failed; the repository is unchanged.
        """
        # Imported here because loading a model needs neither templates nor the Hub.
        from cmr_hub.models.card import model_card
        from cmr_hub.models.upload import model_upload

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
        allow_download: bool = False,
    ) -> Self:
        """Load a model saved by `save_pretrained`; its embeddings are bit-identical.

        The gallery is not attached; use `cmr_hub.load` to attach it. The network of the image
        encoder is built when it is first needed.

        Args:
            name: a directory, or a repository on the Hub, `user/name`.
            revision, token, cache_dir, local_files_only, force_download: options for repositories,
                as in huggingface_hub; see `HubSource`.
            allow_download: also download the encoders that the model refers to when needed.

        Raises:
            ModelFormatError: a file is missing or damaged, could run code, or does not match the
                config; the message names it.
            HubError: the repository cannot be read.
        """
        if isinstance(name, str) and is_repository(name) and not Path(name).exists():
            return HubSource(
                name, revision, token, cache_dir, local_files_only, force_download
            ).read(choose_model_files, partial(cls._read_guarded, allow_download))
        with downloads(allowed=allow_download):
            return cls(**vars(read_parts(Path(name))))

    @classmethod
    def _read_guarded(cls, allow_download: bool, directory: Path) -> Self:
        with downloads(allowed=allow_download):
            return cls.read_downloaded(directory)

    @classmethod
    def read_downloaded(cls, directory: Path) -> Self:
        """Read a downloaded directory, which must not refer to local files."""
        refuse_local_sources(directory)
        return cls(**vars(read_parts(directory)))
