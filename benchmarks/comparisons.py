"""What the table compares, and the limits that have no peer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """A row of the table.

    Attributes:
        task: what is done.
        peer: who does it too.
        at: where its figures stand in the results.
        goal: what the peer's time over ours must be, at least; 1, not slower, where nothing else is
            said; None where none is set.
        ratio: the key of that ratio.
        memory: where the row `memory` has its figures; None where it has none.
    """

    task: str
    peer: str
    at: tuple[str, ...]
    goal: float | None = 1
    ratio: str = "peer_over_ours"
    memory: tuple[str, str] | None = None


def _search(count: int, peer: str, goal: float | None = None) -> Comparison:
    short = peer.split(maxsplit=1)[0].rstrip(",")
    memory = ("search", short) if count == 100_000 and short != "Milvus" else None
    task = f"one search in {count:,} vectors"
    return Comparison(task, peer, (f"search-{count}", peer), goal, memory=memory)


def _map(peer: str) -> Comparison:
    name = "mean-average-precision"
    return Comparison("MAP@all, 2,000 queries", peer, (name, peer), memory=(name, peer))


FLAT, SEMANTIC, MILVUS = (
    "FAISS IndexFlatIP",
    "sentence-transformers semantic_search",
    "Milvus HNSW",
)
MINILM = "sentence-transformers"
LOOP = "plain PyTorch loop"
ONNX_LOOP, OPENVINO_LOOP = "plain ONNX Runtime loop", "plain OpenVINO loop"
TORCH = "--backend torch"
SAME = f"{MINILM}, same weights"
TABLE = (
    Comparison("import", "numpy", ("importing", "numpy"), memory=("import", "numpy")),
    Comparison("import", MINILM, ("importing", "sentence_transformers"), memory=("import", MINILM)),
    Comparison("import and load the default", MINILM, ("loading", "from nothing"), 3),
    Comparison("load the default", MINILM, ("loading", "first"), memory=("load", MINILM)),
    Comparison("load it again", MINILM, ("loading", "again")),
    *(
        Comparison("a picture, EfficientNet-Lite2", peer, ("photos", "picture", peer), goal)
        for peer, goal in ((LOOP, 2), (ONNX_LOOP, 1), (OPENVINO_LOOP, 1))
    ),
    Comparison("a picture, compact", LOOP, ("images", "compact")),
    Comparison("a picture, MobileNetV2", LOOP, ("images", "mobilenet_v2"), memory=("images", LOOP)),
    Comparison(
        "a picture, MobileNetV2, decoded", "transformers pipeline", ("images", "pipeline"), 1
    ),
    Comparison("a picture, VGG16", LOOP, ("images", "vgg16")),
    Comparison("decoding 12 megapixels", "Pillow, decoded whole", ("images", "decoding")),
    Comparison(
        "a sentence, all-MiniLM-L6-v2", SAME, ("texts", "sentence"), memory=("texts", MINILM)
    ),
    Comparison("one sentence alone, all-MiniLM-L6-v2", SAME, ("texts", "sentence_query")),
    Comparison("one sentence alone, run by ONNX Runtime", SAME, ("photos", "sentence", MINILM), 2),
    Comparison(
        "one sentence alone, run by ONNX Runtime",
        f"{ONNX_LOOP}, tokens given",
        ("photos", "sentence", ONNX_LOOP),
        0.8,
    ),
    Comparison("`cmr search` from the shell", "the same, by torch", ("photos", "shell", TORCH), 2),
    Comparison("`cmr search` from the shell", "among sketches", ("photos", "shell", "sketch"), 2),
    Comparison("a sentence, bag of words", "scikit-learn TfidfVectorizer", ("texts", "bow")),
    Comparison("a sentence, word vectors", "gensim get_mean_vector", ("texts", "word2vec")),
    Comparison("a sentence, text-cnn", LOOP, ("texts", "text-cnn")),
    Comparison(
        "a training step, one thread",
        LOOP,
        ("training", "one_thread"),
        1,
        memory=("training", LOOP),
    ),
    Comparison("a training step, all threads", LOOP, ("training", "all_threads")),
    *(_search(10_000, peer) for peer in (FLAT, SEMANTIC, MILVUS)),
    _search(100_000, FLAT, 1 / 1.3),
    _search(100_000, SEMANTIC, 10),
    _search(100_000, MILVUS),
    *(_search(1_000_000, peer) for peer in (FLAT, "FAISS, the same graph", SEMANTIC)),
    *map(_map, ("scikit-learn", "pytrec_eval", "torchmetrics")),
    *(
        Comparison(
            f"indexing a picture, {name}, {threads} thread{'s'[: threads - 1]}",
            "plain encoding of decoded pixels",
            ("indexing-throughput", f"{key}_{threads}_threads"),
            0.95,
            "ours_over_bare_loop",
            ("indexing", LOOP) if (key, threads) == ("compact", 2) else None,
        )
        for name, key, threads in (
            ("compact", "compact", 1),
            ("compact", "compact", 2),
            ("MobileNetV2", "mobilenet_v2", 1),
            ("MobileNetV2", "mobilenet_v2", 2),
            ("VGG16", "vgg16", 2),
        )
    ),
    Comparison("t-SNE of 10,000 points", "scikit-learn", ("tsne",), 2, "ratio"),
)


SHOWN_FIRST = (
    ("import and load the default", MINILM),
    ("a picture, EfficientNet-Lite2", ONNX_LOOP),
    ("one sentence alone, run by ONNX Runtime", SAME),
    ("one search in 100,000 vectors", FLAT),
    ("indexing a picture, MobileNetV2, 2 threads", "plain encoding of decoded pixels"),
    ("MAP@all, 2,000 queries", "torchmetrics"),
)
"""What the README shows of the table, by task and peer."""


@dataclass(frozen=True)
class Limit:
    """A figure without a peer, and what it must keep."""

    task: str
    at: tuple[str, ...]
    unit: str
    sign: str
    limit: float

    def cells(self, value: float) -> list[str]:
        """A row of the table."""
        met = value <= self.limit if self.sign == "≤" else value >= self.limit
        shown, limit = (f"{number:.4g}{self.unit}" for number in (value, self.limit))
        return [self.task, shown, f"{self.sign} {limit} {'met' if met else 'MISSED'}"]


MILLION = "gallery of 1,000,000"
LIMITS = (
    Limit(
        f"{MILLION}: a search, p50",
        ("gallery-scale", "curve", "-1", "p50_milliseconds"),
        " ms",
        "≤",
        2,
    ),
    Limit(f"{MILLION}: Recall@10", ("gallery-scale", "curve", "-1", "recall_at_10"), "", "≥", 0.98),
    Limit(
        f"{MILLION}: open to first answer",
        ("gallery-scale", "curve", "-1", "seconds_to_first_answer"),
        " s",
        "≤",
        2,
    ),
    *(
        limit
        for share in (10, 1)
        for limit in (
            Limit(
                f"{MILLION}: filtered ÷ unfiltered, {share} % pass",
                ("gallery-filters", f"{share}_percent_pass", "filtered_over_unfiltered"),
                "",
                "≤",
                3,
            ),
            Limit(
                f"{MILLION}: Recall@10, {share} % pass",
                ("gallery-filters", f"{share}_percent_pass", "recall_at_10"),
                "",
                "≥",
                0.98,
            ),
        )
    ),
    Limit(
        "index 7,000 pictures again, nothing new",
        ("indexing-again", "second_seconds"),
        " s",
        "≤",
        5,
    ),
    Limit(
        "rows lost or double after 50 kills", ("indexing-faults", "lost_or_double_rows"), "", "≤", 0
    ),
    Limit("page, 50 clients, plain HTTP, p95", ("page", "http", "p95_ms"), " ms", "≤", 500),
    Limit("page, 50 clients, Gradio's queue, p95", ("page", "gradio", "p95_ms"), " ms", "≤", 500),
    Limit("page, memory at the end ÷ after 1,000", ("page", "http", "memory_ratio"), "", "≤", 1.05),
    Limit(
        "dashboard over 5,000 runs, first page", ("dashboard", "first_page_seconds"), " s", "≤", 3
    ),
    Limit(
        "dashboard over 5,000 runs, another metric",
        ("dashboard", "metric_change_seconds"),
        " s",
        "≤",
        0.5,
    ),
    Limit(
        "dashboard over 5,000 runs, another filter",
        ("dashboard", "filter_change_seconds"),
        " s",
        "≤",
        0.5,
    ),
)
