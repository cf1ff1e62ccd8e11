"""Exported text encoders that run without transformers and sentence-transformers.

These libraries take seconds to import and to build a network that the export replaces. Only their
tokeniser is still needed, which the package `tokenizers` can run.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from cmr_hub.encoders.backends.store import cached, cached_or_made
from cmr_hub.encoders.panics import refusing_panics
from cmr_hub.encoders.pretrained.backbone import Backbone
from cmr_hub.errors import CMRError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from cmr_hub.encoders.pretrained.files import PretrainedFiles
    from cmr_hub.types import Arrays

logger = logging.getLogger(__name__)

_FACTS: Final = "facts.json"
_TOKENIZER: Final = "tokenizer.json"
_VERSIONS: Final = ("cmr-hub", "sentence-transformers", "transformers", "tokenizers")
_PARTS: Final = {
    "input_ids": "ids",
    "attention_mask": "attention_mask",
    "token_type_ids": "type_ids",
}
_COMPARED: Final = (
    ("",),
    ("a dog",),
    ("  A DOG Runs,\tOver the GREEN  Meadow!\n", "a"),
    ("Ein Café für Ärzte, NAÏVE ÎLE İstanbul e\u0301 ﬁ ½", "don't we'll I'M 1,234.5 v2"),
    (
        "красный Автобус ночью",
        "Ένας σκύλος ΣΑΣ",
        "一只狗在草地上奔跑 龍",
        "日本語のテキスト 한국어",
    ),
    ("ภาษาไทย", "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया"),
    ("🐕 a dog 🐈👩‍👩‍👧 🇩🇪", "a\u00a0b\u200bc\u3000d \ufeff\x00\x07 \ufffd", " ", "?"),
    ("<b>a &amp; b</b> &lt;", "<|endoftext|> a <|startoftext|>", "<s> </s> <pad> <unk> <eos>"),
    ("[CLS] a [SEP] [MASK] [PAD] [UNK]", "https://example.org/a.jpg", "data:image/png;base64,iVBO"),
    ("two red buses " * 200, "a"),
    ("狗" * 600, "z" * 600, "q " * 600, "a,b;c." * 200),
    *((("a " * count).strip(),) for count in (*range(5, 78, 6), 62, 63, 64, 74, 75, 76, 77, 126)),
)
"""Batches of texts for which a recorded tokeniser must return the same tokens as the library."""


class RecordedBackbone(Backbone):
    """Text side of a pretrained encoder without its library and its network.

    Args:
        files: Files of the encoder.
        directory: Directory written by `record`.
    """

    def __init__(self, files: PretrainedFiles, directory: Path) -> None:
        from tokenizers import Tokenizer

        super().__init__()
        self.files, self._model = files, None
        facts = json.loads((directory / _FACTS).read_text(encoding="utf-8"))
        self.image_dim, self.text_dim = facts["image_dim"], facts["text_dim"]
        self.logit_scale = facts["logit_scale"]
        self._lower, self._prompt = facts["lower"], facts["prompt"] or ""
        self._names = facts["names"]
        self._tokenizer = Tokenizer.from_file(str(directory / _TOKENIZER))

    def arrays(self, texts: Sequence[str]) -> Arrays:
        with refusing_panics(self.files.name):
            rows = self._tokenizer.encode_batch([self._prepared(text) for text in texts])
        return {
            name: np.array([getattr(row, _PARTS[name]) for row in rows], dtype=np.int64)
            for name in self._names
        }

    def tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        import torch

        return {name: torch.from_numpy(rows) for name, rows in self.arrays(texts).items()}

    def is_cut(self, text: str) -> bool:
        with refusing_panics(self.files.name):
            return bool(self._tokenizer.encode(self._prepared(text)).overflowing)

    def without_weights(self) -> RecordedBackbone:
        return self

    def _prepared(self, text: str) -> str:
        return self._prompt + (text.lower() if self._lower else text)

    @property
    def image_transform(self) -> Callable[[Image.Image], dict[str, Tensor]]:
        raise self._refused()

    def images(self, batch: dict[str, Tensor]) -> Tensor:
        raise self._refused()

    def texts(self, tokens: dict[str, Tensor]) -> Tensor:
        raise self._refused()

    def reload(self) -> None:
        raise self._refused()

    def _refused(self) -> CMRError:
        return CMRError(f"{self.files.name} uses another backend: load it with torch")


def recorded(files: PretrainedFiles) -> RecordedBackbone | None:
    """Return the recorded text side of these files; None if there is none."""
    directory = cached(*_key(files))
    return None if directory is None else RecordedBackbone(files, directory)


def record(backbone: Backbone) -> None:
    """Store the tokeniser of an encoder, if it returns the same tokens without its library.

    Otherwise, or if it cannot be stored, the library is used each time.
    """

    def make(directory: Path) -> None:
        described = backbone.tokeniser()
        if described is None:
            raise CMRError("its tokeniser is part of the code of its library")
        facts, tokenizer = described
        facts = {
            **facts,
            "image_dim": backbone.image_dim,
            "text_dim": backbone.text_dim,
            "logit_scale": backbone.logit_scale,
            "names": list(backbone.arrays(["a"])),
        }
        (directory / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
        (directory / _TOKENIZER).write_text(tokenizer, encoding="utf-8")
        _compare(RecordedBackbone(backbone.files, directory), backbone)

    try:
        cached_or_made(*_key(backbone.files), make)
    except Exception as error:  # tokenisers raise errors of any type
        logger.info("%s needs its library to tokenise texts: %s", backbone.files.name, error)


def _compare(recorded: RecordedBackbone, library: Backbone) -> None:
    """Raise CMRError if a recorded tokeniser returns other tokens than the library."""
    for texts in _COMPARED:
        ours, theirs = recorded.arrays(texts), library.arrays(texts)
        same = ours.keys() == theirs.keys() and all(
            ours[name].dtype == theirs[name].dtype and np.array_equal(ours[name], theirs[name])
            for name in ours
        )
        if not same or any(recorded.is_cut(text) != library.is_cut(text) for text in texts):
            raise CMRError(f"the tokens of {texts[0]!r:.60} differ")


def _key(files: PretrainedFiles) -> tuple[str, list[str]]:
    return "texts", [files.sha256, *map(version, _VERSIONS)]


def version(package: str) -> str:
    """Return the name of a package, with its version if it is installed."""
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return package
