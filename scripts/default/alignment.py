"""Alignment: an image encoder and the convolutions of a text encoder learn, end to end, from
pictures and the sentences beside them.

Two projectors bring both sides into one space, where an objective works on them: by default each
picture finds its own sentence in the batch (InfoNCE), and where there are labels, one classifier
tells the classes of both. The projectors have then done their work; a model is trained on the
encoders as on any others.
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

_CHUNK = 64  # pictures through the network at a time, where no gradient is wanted
_MANY = 512  # pictures whose features say how to scale the projector's input
_LIGHT = 0.5  # sentences name colours: they must stay what they are called
# A mirrored picture no longer fits a sentence with one of these.
_SIDES = re.compile(r"\b(left|right)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Alignment(Schedule):
    """How encoder and projectors are trained: a `Schedule`, and

    Args:
        projector_learning_rate: of the projectors and the objective's own weights, at its
            highest; `learning_rate` is the encoder's.
        objective: as `build_objective` takes it.
        dim: of the common space.
        image_hidden, text_hidden, dropout: of the projectors, whose rows lie on a sphere.
        radius: of the sphere.
        alike: pictures of one class come in runs of so many. Their sentences differ in no more
            than colour, number and place, which a batch of all classes would never ask for.
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
            raise TrainingError("a batch of at least 2 is wanted: others are what to tell apart")
        if min(self.dim, self.alike, *self.image_hidden, *self.text_hidden) < 1:
            raise TrainingError(
                "a common space and hidden layers of at least 1 unit, and runs of at least 1 "
                "picture, are wanted"
            )
        if self.projector_learning_rate <= 0:
            raise TrainingError(
                f"a learning rate above 0 is wanted, not {self.projector_learning_rate}"
            )


@dataclass(frozen=True)
class Aligned:
    """What alignment gives.

    Attributes:
        encoder, text_encoder: ready to encode.
        history: one row per epoch: `epoch` from 1, `size`, `learning_rate`, `loss` and its parts,
            `seconds` of the processor, and `held_out`: the figures of each dataset's held-out
            pictures, seen whole, among each other.
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
    """Trains a compact encoder and a text encoder on pictures and their sentences.

    In a step each picture of the batch comes in one of its views, mirrored every other time
    unless the sentence speaks of left or right, with one of its sentences. Sentences without a
    word that the text encoder knows are left out.

    Every epoch draws its random numbers from (seed, epoch) alone, so a resumed run ends with the
    same bits as one that was never stopped, on the same machine with as many threads.

    Args:
        views: of `pictures.images`, in their order.
        pictures: what to learn from, and what is held out.
        text_encoder: fitted; best on the sentences that are not held out. Its word vectors stand
            still.
        settings: how to train.
        seed: of weights, order, views, sentences and augmentation.
        encoder: to start from; random weights without it.
        checkpoints: a directory; a run that finds its checkpoint there goes on from it.
        save: called with what there is after each measurement, and at the end.
        progress: show a bar.

    Raises:
        TrainingError: nothing to train on, pairs without label and a loss that wants one, a loss
            that is not finite, or a checkpoint that is damaged or of another run.
    """
    if len(views) != len(pictures.images):
        raise TrainingError(f"{len(views)} rows of views for {len(pictures.images)} pictures")
    with torch.random.fork_rng(devices=[]):
        sentences = _Sentences(pictures, text_encoder)
        run = _Run(views, pictures, sentences, text_encoder, settings, seed, encoder, checkpoints)
        run.train(save, progress=progress)
    return run.result()


class _Sentences:
    """All sentences, those of one picture beside each other.

    Attributes:
        ids: (M, T) int64, as `padded` makes them.
        owner: (M,) int64, the picture of each.
        sided: (M,) bool, whether it says left or right.
        first, count: (N,) int64, where those of a picture start and how many there are.
    """

    def __init__(self, pictures: Captioned, encoder: TextCNNEncoder) -> None:
        told = [
            (owner, sentence)
            for owner, sentences in enumerate(pictures.sentences)
            for sentence in sentences
            if encoder.knows((sentence,))
        ]
        if not told:
            raise TrainingError("no sentence has a word that the text encoder knows")
        self.ids = padded(encoder.token_ids([sentence for _, sentence in told]))
        self.owner = torch.tensor([owner for owner, _ in told], dtype=torch.int64)
        self.sided = torch.tensor(
            [_SIDES.search(sentence) is not None for _, sentence in told], dtype=torch.bool
        )
        self.count = torch.bincount(self.owner, minlength=len(pictures.images))
        self.first = self.count.cumsum(0) - self.count

    def draw(self, pictures: Tensor) -> Tensor:
        """One sentence of each picture: (B,) rows of `ids`."""
        drawn = (torch.rand(len(pictures)) * self.count[pictures]).long()
        return self.first[pictures] + drawn

    def of(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """All sentences of these pictures: (m,) rows, and (m,) positions in `pictures`."""
        place = torch.full((len(self.count),), -1, dtype=torch.int64)
        place[pictures] = torch.arange(len(pictures))
        found = place[self.owner]
        return (found >= 0).nonzero()[:, 0], found[found >= 0]


class _Heads(nn.Module):
    """All that is trained beside the encoder."""

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
        kept = ~pictures.held_out & (sentences.count > 0).numpy()
        rows = torch.from_numpy(np.flatnonzero(kept))
        if len(rows) < 2:
            raise TrainingError(
                "alignment wants at least two pictures that are not held out and have a sentence "
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
                f"{', '.join(needing)} cannot do without"
            )
        few = rows[torch.randperm(len(rows))[:_MANY]]
        # In training mode: the batch norms of random weights know no statistics yet.
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
        """(n, d) features of the pictures seen whole."""
        found: Tensor = self.network(resized(self.views.pixels[pictures, 0], size))
        return found

    @torch.no_grad()
    def _read(self, told: Tensor) -> Tensor:
        """(m, D) rows of these sentences."""
        return torch.cat([self.heads.reader(ids) for ids in self.sentences.ids[told].split(_MANY)])

    def order(self) -> Tensor:
        """Runs of pictures of one class, or of none, in any order."""
        mixed = super().order()
        sorted_ = mixed[self.labels[mixed].argsort(stable=True)]
        same = sorted_.split(
            torch.unique_consecutive(self.labels[sorted_], return_counts=True)[1].tolist()
        )
        runs = [run for rows in same for run in rows.split(self.settings.alike)]
        return torch.cat([runs[number] for number in torch.randperm(len(runs)).tolist()])

    def loss(self, batch: Tensor, size: int, done: float) -> tuple[Tensor, dict[str, Tensor]]:
        chosen = torch.randint(self.views.pixels.shape[1], (len(batch),))
        told = self.sentences.draw(batch)
        pixels = self.views.pixels[batch, chosen]
        mirrored = (torch.rand(len(batch)) < 0.5) & ~self.sentences.sided[told]
        pixels[mirrored] = pixels[mirrored].flip(2)
        with low_precision():
            features = self.network(varied(pixels, size, _LIGHT))
        ids = self.sentences.ids[told]
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
        """The figures of each dataset's held-out pictures, seen whole at `size` pixels."""
        self.network.eval()
        asked = torch.from_numpy(self.pictures.held_out) & (self.sentences.count > 0)
        figures = {}
        for number, name in enumerate(self.pictures.sources):
            of_source = torch.from_numpy(self.pictures.source == number)
            rows = (asked & of_source).nonzero()[:, 0]
            if not len(rows):
                continue
            features = torch.cat([self._features(chunk, size) for chunk in rows.split(_CHUNK)])
            told, owner = self.sentences.of(rows)
            figures[name] = caption_figures(
                self.heads.image.embed(features.numpy()),
                self.heads.text.embed(self._read(told).numpy()),
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
    """Into how many chunks of much the same size, none of them of one picture."""
    return max(1, len(pictures) // _CHUNK)
