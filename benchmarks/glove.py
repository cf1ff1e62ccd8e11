"""Seconds per epoch of GloVe (ours) and word2vec (gensim) on the same text, one thread each.

    python benchmarks/glove.py                      # on the sentences of 8,000 sketches
    CMR_DATA_HOME=... python benchmarks/glove.py --datasets flickr8k pascal-sentence

Prints both, and gensim's seconds over ours: above one, GloVe is the faster. What is done once, the
vocabulary and the counting of co-occurrence, stands in its own column. Passes of the rivals take
turns, so that a busy machine slows all alike; the median of the passes counts.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from gensim.models import Word2Vec
from texts import said
from threadpoolctl import threadpool_limits
from turns import beside, record, seconds, turns

from cmr_hub.datasets import load_dataset
from cmr_hub.encoders.texts.glove import index_words
from cmr_hub.encoders.texts.glove_trainer import GloveTrainer, cooccurrence
from cmr_hub.encoders.texts.tokens import words

SKETCHES = 40_000
"""Sentences, where no data set is named."""


def read_sentences(names: list[str]) -> list[list[str]]:
    """The tokenised sentences of datasets under CMR_DATA_HOME, or of sketches."""
    if not names:
        return [words(sentence) for sentence in said(SKETCHES)]
    return [
        words(sentence)
        for name in names
        for document in load_dataset(name, check_images=False).sentences
        for sentence in document
    ]


def glove(sentences: list[list[str]], options: argparse.Namespace) -> Callable[[], object]:
    """Prepares our trainer and returns what runs one epoch."""
    vocabulary, indexed = index_words(sentences, options.min_count)
    counts = cooccurrence(indexed, len(vocabulary), options.window, options.context)
    return GloveTrainer(counts, options.dim).epoch


def word2vec(
    sentences: list[list[str]], options: argparse.Namespace, *, skip_gram: bool
) -> Callable[[], object]:
    """Prepares gensim's model and returns what runs one epoch."""
    model = Word2Vec(
        vector_size=options.dim,
        window=options.window,
        min_count=options.min_count,
        sg=int(skip_gram),
        workers=1,
    )
    model.build_vocab(sentences)
    return lambda: model.train(sentences, total_examples=len(sentences), epochs=1)


def compare(options: argparse.Namespace) -> None:
    """Times the rivals in turn and prints the table."""
    sentences = read_sentences(options.datasets)
    print(f"{len(sentences):,} sentences, {sum(map(len, sentences)):,} words")
    print(f"dim {options.dim}, window {options.window} ({options.context}), one thread")
    epochs: dict[str, Callable[[], object]] = {}
    once: dict[str, float] = {}

    def prepare(name: str, rival: Callable[[], Callable[[], object]]) -> None:
        once[name] = seconds(lambda: epochs.update({name: rival()}))

    prepare("GloVe", lambda: glove(sentences, options))
    prepare("CBOW", lambda: word2vec(sentences, options, skip_gram=False))
    prepare("skip-gram", lambda: word2vec(sentences, options, skip_gram=True))
    times = turns(epochs, options.passes)
    row = {
        name: beside(times["GloVe"], times[name], f"gensim word2vec {name}")
        for name in ("CBOW", "skip-gram")
    }
    for name, figures in row.items():
        print(name, figures)
    print("once, s:", once)
    if not options.datasets:
        record("glove", {**row, "sentences": len(sentences)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", nargs="*", default=[])
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--window", type=int, default=5)
    parser.add_argument("--context", choices=["left", "both"], default="both")
    parser.add_argument("--min-count", type=int, default=5)
    parser.add_argument("--passes", type=int, default=5)
    options = parser.parse_args()

    with threadpool_limits(1):
        compare(options)


if __name__ == "__main__":
    main()
