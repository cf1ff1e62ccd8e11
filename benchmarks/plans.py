"""The rows of `results/benchmarks.json`, with the functions that measure them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """The measurement of a row.

    Attributes:
        module, function, arguments: the call that measures the row.
        minutes: approximate duration on two free cores.
        is_full: whether the row is only measured with `--full`.
        is_quick: whether `quick` measures the row.
        in_processes: whether the work runs in other processes, which may use the whole package.
    """

    module: str
    function: str
    arguments: tuple[object, ...] = ()
    minutes: float = 1
    is_full: bool = False
    is_quick: bool = False
    in_processes: bool = False


# In order of importance, so that an interrupted run has the most important rows.
PLANS = {
    "search-100000": Plan("search", "exact", (100_000,), 0.5, is_quick=True),
    "search-10000": Plan("search", "exact", (10_000,), 0.3, is_quick=True),
    "graph-100000": Plan("search", "graph", (100_000,), 1.5),
    "batch-100000": Plan("search", "batch", (100_000,), 0.7),
    "picture-efficientnet_lite2": Plan("encoders", "picture", ("efficientnet_lite2",), 1.5),
    "picture-mobilenet_v2": Plan("encoders", "picture", ("mobilenet_v2",), 1.5),
    "picture-clip": Plan("encoders", "picture", ("clip",), 2.5),
    "sentence": Plan("encoders", "sentence", ("minilm", 1), 0.7, is_quick=True),
    "sentences": Plan("encoders", "sentence", ("minilm", 256), 2),
    "sentence-clip": Plan("encoders", "sentence", ("clip", 1), 1),
    "command-search": Plan("programs", "search", (), 1.5, in_processes=True),
    "command-index": Plan("programs", "index", (), 4, in_processes=True),
    "graph-building": Plan("search", "building", (30_000,), 2),
    "map-all-threads": Plan("ranking", "ranking", (0,), 1, is_quick=True),
    "map-one-thread": Plan("ranking", "ranking", (1,), 0.3),
    "training-one-thread": Plan("training", "training", (1,), 0.5),
    "training-all-threads": Plan("training", "training", (0,), 0.5, is_quick=True),
    "decoding": Plan("encoders", "decoding", (), 0.2, is_quick=True),
    "picture-compact": Plan("encoders", "picture", ("compact",), 1),
    "text-cnn": Plan("encoders", "text_cnn", (), 0.3),
    "bow": Plan("encoders", "bow", (), 0.2),
    "word2vec": Plan("encoders", "word2vec", (), 0.2),
    "tsne": Plan("tsne", "tsne", (), 3),
    "picture-vgg16": Plan("encoders", "picture", ("vgg16",), 3),
    "memory": Plan("memory", "memory", (), 2, in_processes=True),
    "page": Plan("page", "page", (), 3, in_processes=True),
    "dashboard": Plan("dashboard", "dashboard", (), 2, in_processes=True),
    "attacked": Plan("attacked", "attacked", (), 4, is_full=True, in_processes=True),
    "indexing-again": Plan("indexing", "again", (), 1, in_processes=True),
    "gallery-codes": Plan("gallery", "codes", (), 1, is_full=True, in_processes=True),
    "search-1000000": Plan("search", "graph", (1_000_000,), 25, is_full=True),
    "gallery-scale": Plan("gallery", "scale", (), 30, is_full=True, in_processes=True),
    "gallery-filters": Plan("gallery", "filters", (), 5, is_full=True, in_processes=True),
    "indexing-faults": Plan("indexing", "faults", (), 10, is_full=True, in_processes=True),
    "indexing-writing": Plan("indexing", "writing", (), 1, is_full=True, in_processes=True),
}
