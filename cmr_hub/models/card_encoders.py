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
            return f"`{self.name}`, whose files are the model's own"
        return f"[{self.name}]({_PAGE}/{self.name}/tree/{self.commit})"

    @property
    def sentence(self) -> str:
        """A sentence that says what it encodes in the model."""
        return f"{' and '.join(self.reads).capitalize()} are encoded by {self.link}."


def pretrained_parts(image: ImageTower, text: TextTower) -> list[PretrainedPart]:
    """Return the distinct pretrained encoders of a model, without building them."""
    found: dict[tuple[str, str | None], list[str]] = {}
    for tower, reads in ((image, "pictures"), (text, "sentences")):
        if is_pretrained(tower):
            name = str(tower.encoder_name).removeprefix(PREFIX)
            commit = str(tower.encoder_source).rpartition("@")[2]
            key = name, None if tower.encoder_source == "file" else commit
            found.setdefault(key, []).append(reads)
    return [PretrainedPart(*key, tuple(reads)) for key, reads in found.items()]


def is_pretrained(tower: ImageTower | TextTower) -> bool:
    """Return whether the encoder is a pretrained one that a library reads."""
    return str(tower.encoder_name).startswith(PREFIX)


def encoder_limits(image: ImageTower, text: TextTower) -> list[str]:
    """Describe the limitations of the encoders."""
    found = []
    words = _vocabulary(text)
    if words:
        found.append(f"It knows {words:,} English words and leaves out all others.")
    elif not is_pretrained(text):
        found.append("English only.")
    else:
        found.append("It knows the languages that its text encoder was trained on, and no others.")
    if text.encoder_name in _WITHOUT_ORDER:
        found.append(
            "It does not see the order of words: “a dog on a man” and “a man on a dog” are the "
            "same to it."
        )
    name = str(image.encoder_name)
    kind = image_encoder_class(name) if name in IMAGE_ENCODERS else None
    if kind is not None and issubclass(kind, NetworkEncoder):
        side = kind.preprocessing.crop
        found.append(f"It looks at {side} × {side} pixels of a picture: what is small is lost.")
    return found


def _vocabulary(text: TextTower) -> int:
    """Return the size of the encoder's vocabulary; 0 for one that reads parts of words."""
    if text.encoder_name is None or is_pretrained(text) or text.encoder is None:
        return 0
    settings = text.encoder.state()[0]
    return len(settings.get("words", settings).get("vocabulary", ()))
