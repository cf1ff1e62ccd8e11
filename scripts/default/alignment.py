"""Alignment: train an image encoder and the convolutions of a text encoder end to end on pictures
with sentences.

Two projectors map both sides into a common space for the objective: by default InfoNCE over the
batch and, if there are labels, a common classifier. The projectors are then discarded; a model is
trained on the encoders like on any others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.encoders.images.compact import CompactEncoder
from cmr_hub.encoders.texts.text_cnn_network import NOTHING, padded
from cmr_hub.errors import TrainingError
from cmr_hub.losses.objective import build_objective
from cmr_hub.metrics.validation import caption_figures
from cmr_hub.models.projector import Projector
from scripts.default.augmentation import resized, varied
from scripts.default.epochs import Run, Schedule
from scripts.default.precision import low_precision

if TYPE_CHECKING:
    from cmr_hub.encoders.texts.text_cnn import TextCNNEncoder
    from cmr_hub.encoders.texts.text_cnn_network import TextCNN
    from scripts.default.captioned import Captioned
    from scripts.default.views import PixelViews

_CHUNK = 64  # batch size without gradients
_MANY = 512  # pictures on whose features the input scaling of the projectors is fitted
_LIGHT = 0.5  # weak, because colours must still match the sentences that name them
# A mirrored picture no longer matches a sentence with one of these words.
_SIDES = re.compile(r"\b(left|right)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Alignment(Schedule):
    """Settings of the alignment, in addition to a `Schedule`.

    Args:
        projector_learning_rate: maximum learning rate of the projectors and of the weights of the
            objective; `learning_rate` is that of the encoder.
        objective: see `build_objective`.
        dim: dimension of the common space.
        image_hidden, text_hidden, dropout: settings of the projectors, whose outputs lie on a
            sphere.
        radius: radius of the sphere.
        alike: number of pictures of one class in a row. Their sentences differ only in colour,
            number and place, which a batch of all classes would not require to distinguish.
    """

    epochs: int = 30
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 1.0
    sizes: tuple[tuple[int, float], ...] = ((96, 0.7), (128, 0.3))
    validate_every: int = 1
    projector_learning_rate: float = 1e-3
    objective: Mapping[str, Mapping[str, Any]] = field(
        default_factory=lambda: {"infonce": {"temperature": 0.05}, "label": {"weight": 1.0}}
    )
    dim: int = 256
    image_hidden: tuple[int, ...] = (512,)
    text_hidden: tuple[int, ...] = (512,)
    dropout: tuple[float, float] = (0.0, 0.2)
    radius: float = 5.0
    alike: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size < 2:
            raise TrainingError("alignment needs a batch size of at least 2, for negatives")
        if min(self.dim, self.alike, *self.image_hidden, *self.text_hidden) < 1:
            raise TrainingError(
                "alignment needs a common space and hidden layers of at least 1 unit, and at least "
                "1 picture of a class in a row"
            )
        if self.projector_learning_rate <= 0:
            raise TrainingError(
                f"alignment needs a learning rate above 0, not {self.projector_learning_rate}"
            )


@dataclass(frozen=True)
class Aligned:
    """The result of alignment.

    Attributes:
        encoder, text_encoder: trained encoders.
        history: one row per epoch: `epoch` from 1, `size`, `learning_rate`, `loss` and its parts,
            `seconds` of CPU time, and `held_out`: the figures of retrieval among each dataset's
            held-out pictures, uncropped.
    """

    encoder: CompactEncoder
    text_encoder: TextCNNEncoder
    history: list[dict[str, Any]]


def align(
    views: PixelViews,
    pictures: Captioned,
    text_encoder: TextCNNEncoder,
    settings: Alignment,
    seed: int,
    *,
    encoder: CompactEncoder | None = None,
    checkpoints: str | Path | None = None,
    save: Callable[[Aligned], None] | None = None,
    progress: bool = False,
) -> Aligned:
    """Train a compact image encoder and a text encoder on pictures and their sentences.

    In each step, a picture is represented by a random view and a random sentence. Half of the views
    are mirrored, unless the sentence contains left or right. Sentences without a word that the text
    encoder knows are left out.

    The random numbers of every epoch depend only on (seed, epoch), so that a resumed run ends with
    the same bits as an uninterrupted one, on the same machine with the same number of threads.

    Args:
        views: views of `pictures.images`, in their order.
        pictures: training and held-out pictures.
        text_encoder: fitted text encoder, best on the sentences that are not held out. Its word
            vectors are not trained.
        settings: training settings.
        seed: random seed of weights, order, views, sentences and augmentation.
        encoder: initial image encoder. Default: random weights.
        checkpoints: directory of checkpoints, from which the run is resumed.
        save: called with the current result after each evaluation, and at the end.
        progress: show a progress bar.

    Raises:
        TrainingError: there is nothing to train on, a loss needs labels that are missing, the loss
            is not finite, or a checkpoint is damaged or belongs to another run.
    """
    if len(views) != len(pictures.images):
        raise TrainingError(f"{len(views)} rows of views for {len(pictures.images)} pictures")
    with torch.random.fork_rng(devices=[]):
        sentences = _Sentences(pictures, text_encoder)
        run = _Run(views, pictures, sentences, text_encoder, settings, seed, encoder, checkpoints)
        run.train(save, progress=progress)
    return run.result()


class _Sentences:
    """All sentences, grouped by picture.

    Attributes:
        ids: (M, T) int64 token ids; see `padded`.
        owner: (M,) int64 picture of each sentence.
        sided: (M,) bool, whether a sentence contains left or right.
        first, count: (N,) int64 first row and number of the sentences of each picture.
    """

    def __init__(self, pictures: Captioned, encoder: TextCNNEncoder) -> None:
        pairs = [
            (owner, sentence)
            for owner, sentences in enumerate(pictures.sentences)
            for sentence in sentences
            if encoder.knows((sentence,))
        ]
        if not pairs:
            raise TrainingError("no sentence has a word that the text encoder knows")
        self.ids = padded(encoder.token_ids([sentence for _, sentence in pairs]))
        self.owner = torch.tensor([owner for owner, _ in pairs], dtype=torch.int64)
        self.sided = torch.tensor(
            [_SIDES.search(sentence) is not None for _, sentence in pairs], dtype=torch.bool
        )
        self.count = torch.bincount(self.owner, minlength=len(pictures.images))
        self.first = self.count.cumsum(0) - self.count

    def draw(self, pictures: Tensor) -> Tensor:
        """Draw one sentence of each picture, as (B,) rows of `ids`."""
        drawn = (torch.rand(len(pictures)) * self.count[pictures]).long()
        return self.first[pictures] + drawn

    def of(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return the (m,) rows of all sentences of these pictures, and their (m,) positions."""
        position = torch.full((len(self.count),), -1, dtype=torch.int64)
        position[pictures] = torch.arange(len(pictures))
        positions = position[self.owner]
        return (positions >= 0).nonzero()[:, 0], positions[positions >= 0]


class _Heads(nn.Module):
    """The modules that are trained in addition to the image encoder."""

    def __init__(self, reader: TextCNN, n_classes: int, settings: Alignment) -> None:
        super().__init__()

        def projector(in_dim: int, hidden: Sequence[int]) -> Projector:
            return Projector(
                in_dim,
                hidden,
                settings.dim,
                dropout=settings.dropout,
                output="sphere",
                radius=settings.radius,
            )

        self.image = projector(CompactEncoder.dim, settings.image_hidden)
        self.reader = reader
        self.text = projector(reader.dim, settings.text_hidden)
        self.objective = build_objective(settings.objective, settings.dim, max(1, n_classes))


class _Run(Run[Aligned]):
    name = "align"

    def __init__(
        self,
        views: PixelViews,
        pictures: Captioned,
        sentences: _Sentences,
        text_encoder: TextCNNEncoder,
        settings: Alignment,
        seed: int,
        encoder: CompactEncoder | None,
        checkpoints: str | Path | None,
    ) -> None:
        self.views, self.pictures, self.sentences = views, pictures, sentences
        self.text_encoder, self.encoder = text_encoder, encoder
        self.settings = settings
        self.labels = torch.from_numpy(pictures.labels)
        is_used = ~pictures.held_out & (sentences.count > 0).numpy()
        rows = torch.from_numpy(np.flatnonzero(is_used))
        if len(rows) < 2:
            raise TrainingError(
                "alignment needs at least two pictures that are not held out and have a sentence "
                "with a word that the text encoder knows"
            )
        torch.manual_seed(seed)
        self.network = CompactEncoder.build()
        if encoder is not None:
            self.network.load_state_dict(encoder.state)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        reader = text_encoder.reader().requires_grad_(True)
        self.heads = _Heads(reader, pictures.n_classes, settings)
        needing = self.heads.objective.needs_labels
        if needing and (self.labels[rows] < 0).any():
            raise TrainingError(
                f"{int((self.labels[rows] < 0).sum())} of {len(rows)} pictures have no label, and "
                f"{', '.join(needing)} needs them"
            )
        few = rows[torch.randperm(len(rows))[:_MANY]]
        # In training mode, because the batch norms of random weights have no statistics yet.
        with torch.no_grad():
            found = [
                self._features(chunk, settings.size_at(0))
                for chunk in few.tensor_split(_parts(few))
            ]
        self.heads.image.scaling.fit(torch.cat(found))
        self.heads.text.scaling.fit(self._read(sentences.of(few)[0]))
        super().__init__(
            {"network": self.network, "heads": self.heads},
            settings,
            seed,
            rows,
            checkpoints,
            {"network": settings.learning_rate, "heads": settings.projector_learning_rate},
        )

    def _features(self, pictures: Tensor, size: int) -> Tensor:
        """Return the (n, d) features of the uncropped pictures."""
        features: Tensor = self.network(resized(self.views.pixels[pictures, 0], size))
        return features

    @torch.no_grad()
    def _read(self, rows: Tensor) -> Tensor:
        """Return the (m, D) features of these sentences."""
        return torch.cat([self.heads.reader(ids) for ids in self.sentences.ids[rows].split(_MANY)])

    def order(self) -> Tensor:
        """Return runs of pictures of one class, or without a class, in random order."""
        mixed = super().order()
        sorted_ = mixed[self.labels[mixed].argsort(stable=True)]
        same = sorted_.split(
            torch.unique_consecutive(self.labels[sorted_], return_counts=True)[1].tolist()
        )
        runs = [run for rows in same for run in rows.split(self.settings.alike)]
        return torch.cat([runs[number] for number in torch.randperm(len(runs)).tolist()])

    def loss(self, batch: Tensor, size: int, done: float) -> tuple[Tensor, dict[str, Tensor]]:
        chosen = torch.randint(self.views.pixels.shape[1], (len(batch),))
        sentences = self.sentences.draw(batch)
        pixels = self.views.pixels[batch, chosen]
        mirrored = (torch.rand(len(batch)) < 0.5) & ~self.sentences.sided[sentences]
        pixels[mirrored] = pixels[mirrored].flip(2)
        with low_precision():
            features = self.network(varied(pixels, size, _LIGHT))
        ids = self.sentences.ids[sentences]
        longest = int((ids != NOTHING).sum(1).max())
        images, texts = features.float(), self.heads.reader(ids[:, :longest])
        objective = self.heads.objective
        objective.schedule(done)
        objective.observe(images.detach(), texts.detach())
        total, parts = objective(
            self.heads.image(images), self.heads.text(texts), self.labels[batch]
        )
        return total, parts

    @torch.no_grad()
    def measure(self, size: int) -> dict[str, Any]:
        """Return the figures of each dataset's held-out pictures, uncropped, at `size` pixels."""
        self.network.eval()
        has_queries = torch.from_numpy(self.pictures.held_out) & (self.sentences.count > 0)
        figures = {}
        for number, name in enumerate(self.pictures.sources):
            of_source = torch.from_numpy(self.pictures.source == number)
            rows = (has_queries & of_source).nonzero()[:, 0]
            if not len(rows):
                continue
            features = torch.cat([self._features(chunk, size) for chunk in rows.split(_CHUNK)])
            sentences, owner = self.sentences.of(rows)
            figures[name] = caption_figures(
                self.heads.image.embed(features.numpy()),
                self.heads.text.embed(self._read(sentences).numpy()),
                owner.numpy(),
                self.pictures.labels[rows.numpy()],
            )
        return {"held_out": figures} if figures else {}

    def result(self) -> Aligned:
        state = {name: value.clone() for name, value in self.network.state_dict().items()}
        texts = self.text_encoder.with_reader(self.heads.reader)
        return Aligned(CompactEncoder(state, "file"), texts, self.progress.history)

    def facts(self) -> list[Any]:
        rows = self.sentences
        arrays = {
            **self.text_encoder.state()[1],
            "ids": rows.ids.numpy(),
            "owner": rows.owner.numpy(),
            "sided": rows.sided.numpy(),
            "labels": self.pictures.labels,
            "source": self.pictures.source,
            "held_out": self.pictures.held_out,
        }
        return [
            self.settings.as_dict(),
            self.seed,
            self.text_encoder.options,
            list(self.views.keys),
            list(self.views.pixels.shape),
            sha256_of_arrays(arrays),
            self.pictures.n_classes,
            None if self.encoder is None else self.encoder.weights_sha256,
        ]


def _parts(pictures: Tensor) -> int:
    """Return the number of chunks of similar size, none of which is a single picture."""
    return max(1, len(pictures) // _CHUNK)
