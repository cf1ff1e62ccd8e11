"""Descriptions of encoders for model cards: their origin and their limitations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cmr_hub.encoders.images import IMAGE_ENCODERS, image_encoder_class
from cmr_hub.encoders.images.network import NetworkEncoder
from cmr_hub.encoders.pretrained import PREFIX

if TYPE_CHECKING:
    from cmr_hub.models.towers import ImageTower, TextTower

_WITHOUT_ORDER: Final = ("bow", "lda", "word2vec", "glove")
_PAGE: Final = "https://huggingface.co"


@dataclass(frozen=True)
class PretrainedPart:
    """A pretrained encoder in a model.

    Attributes:
        name: name of its repository or directory.
        commit: commit of the repository; None for a directory, whose files are in the model.
        reads: "pictures", "sentences" or both.
    """

    name: str
    commit: str | None
    reads: tuple[str, ...]

    @property
    def link(self) -> str:
        """The name as a Markdown link."""
        if self.commit is None:
            return f"`{self.name}`, whose files are in the model directory"
        return f"[{self.name}]({_PAGE}/{self.name}/tree/{self.commit})"

    @property
    def sentence(self) -> str:
        """A sentence that describes what the encoder is used for."""
        return f"{' and '.join(self.reads).capitalize()} are encoded by {self.link}."


def pretrained_parts(image: ImageTower, text: TextTower) -> list[PretrainedPart]:
    """Return the distinct pretrained encoders of a model, without building them."""
    parts: dict[tuple[str, str | None], list[str]] = {}
    for tower, reads in ((image, "pictures"), (text, "sentences")):
        if is_pretrained(tower):
            name = str(tower.encoder_name).removeprefix(PREFIX)
            commit = str(tower.encoder_source).rpartition("@")[2]
            key = name, None if tower.encoder_source == "file" else commit
            parts.setdefault(key, []).append(reads)
    return [PretrainedPart(*key, tuple(reads)) for key, reads in parts.items()]


def is_pretrained(tower: ImageTower | TextTower) -> bool:
    """Return whether sentence-transformers or open_clip reads the encoder."""
    return str(tower.encoder_name).startswith(PREFIX)


def encoder_limits(image: ImageTower, text: TextTower) -> list[str]:
    """Describe the limitations of the encoders."""
    limits = []
    words = _vocabulary_size(text)
    if words:
        limits.append(f"It knows {words:,} English words and ignores all others.")
    elif not is_pretrained(text):
        limits.append("English only.")
    else:
        limits.append("It supports only the languages that its text encoder was trained on.")
    if text.encoder_name in _WITHOUT_ORDER:
        limits.append(
            "It ignores the order of words: it does not distinguish “a dog on a man” from “a man "
            "on a dog”."
        )
    name = str(image.encoder_name)
    kind = image_encoder_class(name) if name in IMAGE_ENCODERS else None
    if kind is not None and issubclass(kind, NetworkEncoder):
        side = kind.preprocessing.crop
        limits.append(f"It reduces pictures to {side} × {side} pixels, so small objects are lost.")
    return limits


def _vocabulary_size(text: TextTower) -> int:
    """Return the size of the vocabulary of the encoder; 0 for subword tokens."""
    if text.encoder_name is None or is_pretrained(text) or text.encoder is None:
        return 0
    settings = text.encoder.state()[0]
    return len(settings.get("words", settings).get("vocabulary", ()))
