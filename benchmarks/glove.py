"""Seconds per epoch of GloVe (ours) and word2vec (gensim) on the same text, one thread each.

    CMR_DATA_HOME=... python benchmarks/glove.py

Prints both, and gensim's seconds divided by ours; above one, GloVe is faster. Work that is done
once, the vocabulary and the co-occurrence counts, has a separate column. The rivals run in turns,
so that other load affects all of them equally; the median counts.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import TypeVar

from gensim.models import Word2Vec
from threadpoolctl import threadpool_limits

from cmr_hub.datasets import load_dataset
from cmr_hub.encoders.texts.glove import index_words
from cmr_hub.encoders.texts.glove_trainer import GloveTrainer, cooccurrence
from cmr_hub.encoders.texts.tokens import words

T = TypeVar("T")


def read_sentences(names: list[str]) -> list[list[str]]:
    """Return the tokenised sentences of datasets in CMR_DATA_HOME."""
    return [
        words(sentence)
        for name in names
        for document in load_dataset(name, check_images=False).sentences
        for sentence in document
    ]


def glove(sentences: list[list[str]], options: argparse.Namespace) -> Callable[[], object]:
    """Prepare our trainer, and return a function that runs one epoch."""
    vocabulary, indexed = index_words(sentences, options.min_count)
    counts = cooccurrence(indexed, len(vocabulary), options.window, options.context)
    return GloveTrainer(counts, options.dim).epoch


def word2vec(
    sentences: list[list[str]], options: argparse.Namespace, *, skip_gram: bool
) -> Callable[[], object]:
    """Prepare gensim's model, and return a function that runs one epoch."""
    model = Word2Vec(
        vector_size=options.dim,
        window=options.window,
        min_count=options.min_count,
        sg=int(skip_gram),
        workers=1,
    )
    model.build_vocab(sentences)
    return lambda: model.train(sentences, total_examples=len(sentences), epochs=1)


def timed(run: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds and the result of a call."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def compare(options: argparse.Namespace) -> None:
    """Time the rivals in turns and print the table."""
    sentences = read_sentences(options.datasets)
    print(f"{len(sentences):,} sentences, {sum(map(len, sentences)):,} words")
    print(f"dim {options.dim}, window {options.window} ({options.context}), one thread")
    rivals: dict[str, Callable[[], Callable[[], object]]] = {
        "GloVe (ours)": lambda: glove(sentences, options),
        "word2vec CBOW (gensim)": lambda: word2vec(sentences, options, skip_gram=False),
        "word2vec skip-gram (gensim)": lambda: word2vec(sentences, options, skip_gram=True),
    }
    prepared = {name: timed(prepare) for name, prepare in rivals.items()}
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(options.passes):
        for name, (_, epoch) in prepared.items():
            seconds[name].append(timed(epoch)[0])
    ours = statistics.median(seconds["GloVe (ours)"])
    print(f"{'':28} {'once':>8} {'epoch':>8} {'ratio':>7}")
    for name, passes in seconds.items():
        median = statistics.median(passes)
        print(f"{name:28} {prepared[name][0]:7.2f}s {median:7.3f}s {median / ours:6.2f}x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", nargs="+", default=["flickr8k", "pascal-sentence"])
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
