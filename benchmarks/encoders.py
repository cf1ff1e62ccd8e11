"""Time per picture and per sentence in each runtime, compared with the runtime alone; decoding.

Our encoders get bytes of prepared pictures, or sentences; the runtimes alone get floats, or
sentences with the same tokeniser. All use all threads. For each rival several batch sizes, layouts
and thread settings are tried, and the best one is compared; `tried` has all of them. Weights are
random or from a package, which does not affect the time. Rivals that return different vectors are
rejected.
"""

from __future__ import annotations

import copy
import gzip
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import openvino
import torch
from elsewhere import Elsewhere
from gallery import KEPT
from minilm import minilm
from PIL import Image
from rows import Rival, Row, best, measure

from cmr_hub import load
from cmr_hub.datasets.images import decode_image
from cmr_hub.encoders.backends import backend_placement
from cmr_hub.encoders.backends.convert import export_image_encoder, export_text_encoder
from cmr_hub.encoders.images import image_encoder_class
from cmr_hub.encoders.images.mobilenet_v2 import MobileNetV2Encoder
from cmr_hub.encoders.images.pretrained import PretrainedImageEncoder
from cmr_hub.encoders.pretrained.files import PretrainedFiles
from cmr_hub.encoders.pretrained.load import backbone
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.encoders.texts.bow import BowEncoder
from cmr_hub.encoders.texts.pretrained import PretrainedTextEncoder
from cmr_hub.encoders.texts.text_cnn import TextCNNEncoder
from cmr_hub.encoders.texts.text_cnn_network import padded
from cmr_hub.encoders.texts.tokens import words
from cmr_hub.encoders.texts.word2vec import Word2VecEncoder
from cmr_hub.encoders.torchvision_ops import ensure_torchvision
from cmr_hub_sketches.grammar import sentences
from cmr_hub_sketches.painter import split_scene

PICTURES = {"efficientnet_lite2": 32, "mobilenet_v2": 32, "compact": 128, "clip": 16, "vgg16": 8}
NAMES = {
    "efficientnet_lite2": "EfficientNet-Lite2",
    "mobilenet_v2": "MobileNetV2",
    "clip": "CLIP ViT-B/32",
    "vgg16": "VGG16",
    "minilm": "all-MiniLM-L6-v2",
}
BATCHES = (1, 2, 4, 8, 16, 32)
SENTENCE_BATCHES = (8, 16, 32, 64, 128)
QUERIES, SENTENCES, CLIP_SIDE = 40, 5_000, 256
RUNTIMES = {"onnx": "ours, ONNX Runtime", "openvino": "ours, OpenVINO"}

Work = Callable[[], np.ndarray]
Each = Callable[..., Any]
"""Return `map`, or the map of a pool."""


def photographs(count: int) -> list[Image.Image]:
    """Return pictures of smooth noise, 500 × 375."""
    generator = np.random.default_rng(0)
    small = generator.integers(0, 256, (count, 12, 16, 3), dtype=np.uint8)
    return [Image.fromarray(one).resize((500, 375), Image.Resampling.BICUBIC) for one in small]


def said(count: int) -> list[str]:
    """Return the first sentences of sketches of the test split."""
    found: list[str] = []
    while len(found) < count:
        found += sentences(split_scene("test", len(found)))
    return found[:count]


def clip() -> PretrainedFiles:
    """Return a CLIP of the size of ViT-B/32 at 256 pixels, with random weights."""
    ensure_torchvision()
    from open_clip.tokenizer import bytes_to_unicode, default_bpe
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    folder = KEPT / "clip"
    if not (folder / "model.safetensors").exists():
        folder.mkdir(parents=True, exist_ok=True)
        text = gzip.decompress(Path(default_bpe()).read_bytes()).decode()
        merges = text.split("\n")[1 : 49152 - 256 - 2 + 1]
        letters = list(bytes_to_unicode().values())
        every = [*letters, *(f"{letter}</w>" for letter in letters)]
        every += ["".join(merge.split()) for merge in merges]
        every += ["<|startoftext|>", "<|endoftext|>"]
        numbers = {word: at for at, word in enumerate(every)}
        (folder / "vocab.json").write_text(json.dumps(numbers))
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
        files = (str(folder / "vocab.json"), str(folder / "merges.txt"))
        tokenizer = CLIPTokenizer(*files, model_max_length=77)
        size = {"height": CLIP_SIDE, "width": CLIP_SIDE}
        shown = CLIPImageProcessor(size={"shortest_edge": CLIP_SIDE}, crop_size=size)
        CLIPProcessor(shown, tokenizer).save_pretrained(folder)
        torch.manual_seed(0)
        CLIPModel(CLIPConfig(vision_config={"image_size": CLIP_SIDE})).save_pretrained(folder)
    return PretrainedFiles.of(folder)


class ClipPictures(torch.nn.Module):
    """The image side of a CLIP, from pixels to a vector."""

    def __init__(self, files: PretrainedFiles) -> None:
        super().__init__()
        from transformers import CLIPVisionModelWithProjection

        self.side = CLIPVisionModelWithProjection.from_pretrained(files.directory)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.side(pixels).image_embeds
        return found


def exported(network: torch.nn.Module, pixels: torch.Tensor, key: str, name: str = "pixels") -> str:
    """Export the network with PyTorch's exporter, once."""
    path = KEPT / "onnx" / f"{key}.onnx"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.onnx.export(
            network,
            (pixels[:2].contiguous(),),
            str(path),
            input_names=[name],
            output_names=["features"],
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    return str(path)


def session(file: str, threads: int = 0) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(file, options, ["CPUExecutionProvider"])


def in_torch(network: torch.nn.Module, pixels: torch.Tensor) -> dict[str, Work]:
    """Try PyTorch with two layouts, all batch sizes, one batch per thread, and compiled."""
    count = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, initializer=partial(torch.set_num_threads, 1))
    list(pool.map(time.sleep, [0.1] * count))
    torch.set_num_threads(count)  # of this thread

    def loop(own: Any, floats: torch.Tensor, size: int, each: Each = map) -> np.ndarray:
        def run(batch: torch.Tensor) -> torch.Tensor:
            with torch.inference_mode():
                return own(batch)

        return torch.cat(list(each(run, floats.split(size)))).numpy()

    last = copy.deepcopy(network).to(memory_format=torch.channels_last)
    floats = pixels.contiguous(memory_format=torch.channels_last)
    compiled = torch.compile(copy.deepcopy(last), dynamic=False, options={"freezing": True})
    settings = {}
    for size in (size for size in BATCHES if size <= len(pixels)):
        settings[f"batch {size}"] = partial(loop, network, pixels, size)
        settings[f"batch {size}, channels last"] = partial(loop, last, floats, size)
        if size <= 4:
            each = partial(loop, last, floats, size, pool.map)
            settings[f"batch {size} for each thread, channels last"] = each
    for size in (1, 4):
        settings[f"batch {size}, channels last, compiled"] = partial(loop, compiled, floats, size)
    return settings


def in_onnx_runtime(file: str, pixels: torch.Tensor) -> dict[str, Work]:
    """Try ONNX Runtime with all threads per batch, or one batch per thread."""
    whole, single = session(file), session(file, 1)
    pool = ThreadPoolExecutor(torch.get_num_threads())
    settings = {}

    def run(own: Any, batches: Sequence[np.ndarray], each: Each) -> np.ndarray:
        rows = each(lambda batch: own.run(None, {"pixels": batch})[0], batches)
        return np.concatenate(list(rows))

    for size in (size for size in BATCHES if size <= len(pixels)):
        batches = [batch.numpy() for batch in pixels.split(size)]
        settings[f"batch {size}"] = partial(run, whole, batches, map)
        settings[f"batch {size} for each thread"] = partial(run, single, batches, pool.map)
    return settings


def in_openvino(file: str, pixels: torch.Tensor) -> dict[str, Work]:
    """Try OpenVINO with its two hints, in float32."""
    settings = {}

    def one_by_one(compiled: Any, batches: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate([compiled(batch)[0] for batch in batches])

    def side_by_side(compiled: Any, batches: Sequence[np.ndarray]) -> np.ndarray:
        found: list[Any] = [None] * len(batches)
        queue = openvino.AsyncInferQueue(compiled)

        def done(request: Any, at: int) -> None:
            found[at] = request.get_output_tensor(0).data.copy()

        queue.set_callback(done)
        for at, batch in enumerate(batches):
            queue.start_async([batch], at)
        queue.wait_all()
        return np.concatenate(found)

    for hint, run in (("LATENCY", one_by_one), ("THROUGHPUT", side_by_side)):
        options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": hint}
        compiled = openvino.compile_model(file, "CPU", options)
        for size in (size for size in BATCHES[:4] if size <= len(pixels)):
            batches = [batch.numpy() for batch in pixels.split(size)]
            settings[f"{hint}, batch {size}"] = partial(run, compiled, batches)
    return settings


def chosen(
    settings: dict[str, Work], expected: np.ndarray, per: int, package: str, against: str
) -> Rival:
    """Return a rival with its best setting, after checking its vectors."""
    name, tried = best(settings, per)
    # A channel that is always off differs by up to a thousandth, and its root is steep.
    np.testing.assert_allclose(settings[name](), expected, rtol=1e-3, atol=2e-3, err_msg=name)
    return Rival(settings[name], name, package, against, tried=tried)


def picture(name: str) -> Row:
    """Measure the time per prepared picture."""
    count = PICTURES[name]
    if name == "clip":
        files = clip()
        encoder: Any = PretrainedImageEncoder(backbone(files))
        network: torch.nn.Module = ClipPictures(files).eval()
    else:
        kind: Any = image_encoder_class(name)
        torch.manual_seed(0)
        whole = kind.build().eval()
        encoder, network = kind(whole.state_dict(), "file"), kind.blocks(whole)
    network.requires_grad_(False)
    shown = encoder.preprocessing
    pixels = np.stack([shown.pixels(image) for image in photographs(count)])
    arrays = shown.arrays(pixels)
    floats = torch.from_numpy(np.ascontiguousarray(next(iter(arrays.values()))))
    own = {"ours, torch": encoder} | {
        name: export_image_encoder(encoder, backend_placement(backend))
        for backend, name in RUNTIMES.items()
    }
    rivals = {
        name: Rival(partial(one.encode_pixels, pixels), "as it comes", against=None)
        for name, one in own.items()
    }
    expected = encoder.encode_pixels(pixels)
    file = exported(network, floats, encoder.fingerprint[:16])
    for peer, package, settings, against in (
        ("PyTorch", "torch", in_torch(network, floats), "ours, torch"),
        ("ONNX Runtime", "onnxruntime", in_onnx_runtime(file, floats), RUNTIMES["onnx"]),
        ("OpenVINO", "openvino", in_openvino(file, floats), RUNTIMES["openvino"]),
    ):
        rivals[peer] = chosen(settings, expected, count, package, against)
    return measure(f"a picture, {NAMES.get(name, name)}", rivals, count)


IN_ITS_OWN_PLACE = """
from sentence_transformers import SentenceTransformer
model = SentenceTransformer({source!r}, device="cpu", backend="onnx")
def work():
    for batch in {batches!r}:
        model.encode(batch, batch_size={size}, show_progress_bar=False)
"""


def sentence(name: str, count: int) -> Row:
    """Measure the time per sentence, alone or in batches."""
    ensure_torchvision()
    from sentence_transformers import SentenceTransformer

    if name == "clip":
        files = clip()
        encoder: Any = PretrainedTextEncoder(backbone(files))
        source = str(files.directory)
    else:
        source = str(minilm())
        encoder = text_encoder("sentence", source=source).fit([])
    texts = said(max(count, QUERIES))
    batches = [texts[at : at + count] for at in range(0, len(texts), count)]
    sizes = [size for size in SENTENCE_BATCHES if size <= count] or [1]

    def by(encode: Callable[[list[str]], np.ndarray]) -> np.ndarray:
        return np.concatenate([encode(batch) for batch in batches])

    def ours(own: Any) -> Work:
        return partial(by, lambda batch: own.transform([(text,) for text in batch]))

    exports = {
        backend: export_text_encoder(encoder, backend_placement(backend)) for backend in RUNTIMES
    }
    own = {"ours, torch": encoder} | {RUNTIMES[name]: one for name, one in exports.items()}
    rivals = {key: Rival(ours(one), "as it comes", against=None) for key, one in own.items()}
    expected = ours(encoder)()
    theirs = SentenceTransformer(source, device="cpu")

    def in_theirs(size: int) -> Work:
        encode = partial(theirs.encode, batch_size=size, show_progress_bar=False)
        return partial(by, lambda batch: unit(encode(batch)))

    def alone(run: Callable[[dict[str, np.ndarray]], np.ndarray], size: int) -> Work:
        """Encode with the runtime and a tokeniser, in batches of sentences of similar length."""

        def encode(batch: list[str]) -> np.ndarray:
            order = np.argsort([len(text) for text in batch])
            found = []
            for at in range(0, len(batch), size):
                tokens = encoder.tokens([batch[one] for one in order[at : at + size]])
                found.append(run({key: value.numpy() for key, value in tokens.items()}))
            return unit(np.concatenate(found)[np.argsort(order)])

        return partial(by, encode)

    run: Any = exports["onnx"]._run  # type: ignore[attr-defined]
    plain = session(str(getattr(run, "file", None) or run.args[0].file))
    names = {one.name for one in plain.get_inputs()}
    run = exports["openvino"]._run  # type: ignore[attr-defined]
    options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    file = str(getattr(run, "file", None) or run.args[0].file)
    compiled = openvino.compile_model(file, "CPU", options)

    def in_runtime(tokens: dict[str, np.ndarray]) -> np.ndarray:
        given = {key: value for key, value in tokens.items() if key in names}
        return np.asarray(plain.run(None, given)[0])

    def in_vino(tokens: dict[str, np.ndarray]) -> np.ndarray:
        given = {key: value for key, value in tokens.items() if key in names}
        return np.array(compiled(given)[0])

    for peer, package, make, against in (
        ("sentence-transformers", "sentence-transformers", in_theirs, "ours, torch"),
        ("ONNX Runtime", "onnxruntime", partial(alone, in_runtime), RUNTIMES["onnx"]),
        ("OpenVINO", "openvino", partial(alone, in_vino), RUNTIMES["openvino"]),
    ):
        settings = {f"batch {size}": make(size) for size in sizes}
        rivals[peer] = chosen(settings, expected, len(texts), package, against)
    if name != "clip":  # its ONNX backend has no CLIP
        program = IN_ITS_OWN_PLACE.format(source=source, batches=batches, size=min(count, 32))
        with Elsewhere.open("sentence-transformers", program) as place:
            if place is not None:
                rivals["sentence-transformers, backend onnx"] = Rival(
                    place.work,
                    f"batch {min(count, 32)}",
                    against=RUNTIMES["onnx"],
                    facts={"version": place.version("sentence-transformers")},
                )
            return told(name, count, rivals, len(texts))
    return told(name, count, rivals, len(texts))


def told(name: str, count: int, rivals: dict[str, Rival], per: int) -> Row:
    how = "one sentence alone" if count == 1 else f"a sentence of {count}"
    return measure(f"{how}, {NAMES[name]}", rivals, per)


def unit(rows: np.ndarray) -> np.ndarray:
    """Scale rows to length 1."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def alike(ours: Work, peers: dict[str, Work]) -> None:
    """Reject rivals whose vectors differ, except in length."""
    expected = unit(ours())
    for name, work in peers.items():
        assert (unit(np.asarray(work())) * expected).sum(1).min() > 0.999, name


def bow() -> Row:
    """Compare bags of words with scikit-learn."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = said(SENTENCES)
    documents = [(text,) for text in texts]
    encoder = BowEncoder().fit(documents)
    # Its own pattern ignores words of one letter, which do not occur in these sentences.
    peer = TfidfVectorizer(stop_words="english", sublinear_tf=True, dtype=np.float32).fit(texts)
    ours, theirs = partial(encoder.transform, documents), lambda: peer.transform(texts).toarray()
    alike(ours, {"scikit-learn": theirs})
    rivals = {
        "ours": Rival(ours, "dense rows", against=None),
        "scikit-learn": Rival(theirs, "TfidfVectorizer, dense rows", "scikit-learn"),
    }
    return measure("a sentence, bag of words", rivals, SENTENCES)


def word2vec() -> Row:
    """Compare means of word vectors with gensim and with a sparse product."""
    from gensim.models import KeyedVectors
    from scipy.sparse import csr_array

    texts = said(SENTENCES)
    documents = [(text,) for text in texts]
    encoder = Word2VecEncoder(pooling="mean").fit(documents)
    settings, arrays = encoder.state()
    vectors = KeyedVectors(encoder.dim)
    vectors.add_vectors(settings["vocabulary"], arrays["vectors"])
    numbers = {word: at for at, word in enumerate(settings["vocabulary"])}
    matrix = arrays["vectors"].astype(np.float32)

    def in_gensim() -> np.ndarray:
        each = (vectors.get_mean_vector(words(text), pre_normalize=False) for text in texts)
        return np.stack(list(each))

    def in_scipy() -> np.ndarray:
        own = [[numbers[word] for word in words(text) if word in numbers] for text in texts]
        ends = np.cumsum([0, *map(len, own)])
        places = np.concatenate(own)
        counts = csr_array(
            (np.ones(len(places), np.float32), places, ends), (len(own), len(matrix))
        )
        return np.asarray(counts @ matrix) / np.maximum(np.diff(ends), 1)[:, None]

    ours = partial(encoder.transform, documents)
    alike(ours, {"gensim": in_gensim, "SciPy": in_scipy})
    rivals = {
        "ours": Rival(ours, "pooling mean", against=None),
        "SciPy": Rival(in_scipy, "one sparse product", "scipy"),
        "gensim": Rival(in_gensim, "get_mean_vector", "gensim"),
    }
    return measure("a sentence, word vectors", rivals, SENTENCES)


def text_cnn() -> Row:
    """Compare the small network of `sketch` with a loop through the same network."""
    encoder = load("sketch").text.encoder
    assert isinstance(encoder, TextCNNEncoder)
    network = encoder.reader().eval()
    texts = said(SENTENCES)
    documents = [(text,) for text in texts]

    def loop(size: int) -> np.ndarray:
        with torch.inference_mode():
            found = [
                network(padded(encoder.token_ids(texts[start : start + size])))
                for start in range(0, len(texts), size)
            ]
            return torch.cat(found).numpy()

    ours = partial(encoder.transform, documents)
    settings = {f"batch {size}": partial(loop, size) for size in (16, 32, 64, 128, 256)}
    alike(ours, settings)
    name, tried = best(settings, SENTENCES)
    rivals = {
        "ours": Rival(ours, "as it comes", against=None),
        "PyTorch": Rival(settings[name], name, "torch", tried=tried),
    }
    return measure("a sentence, text-cnn", rivals, SENTENCES)


def decoding() -> Row:
    """Compare decoding camera photographs to the pixels of MobileNetV2 with Pillow."""
    shown, file, count = MobileNetV2Encoder.preprocessing, BytesIO(), 10
    (image,) = photographs(1)
    image.resize((4000, 3000), Image.Resampling.BICUBIC).save(file, "JPEG", quality=88)
    data = file.getvalue()

    def whole() -> np.ndarray:
        return shown.pixels(Image.open(BytesIO(data)).convert("RGB"))

    def draft() -> np.ndarray:
        opened = Image.open(BytesIO(data))
        opened.draft("RGB", (shown.enough, shown.enough))
        return shown.pixels(opened.convert("RGB"))

    def times(work: Callable[[], object]) -> Callable[[], object]:
        return lambda: [work() for _ in range(count)]

    rivals = {
        "ours": Rival(
            times(lambda: shown.pixels(decode_image(data, enough=shown.enough))),
            f"enough for {shown.enough} pixels",
            against=None,
        ),
        "Pillow, draft": Rival(times(draft), f"draft, enough for {shown.enough} pixels", "pillow"),
        "Pillow": Rival(times(whole), "decoded whole", "pillow"),
    }
    return measure("decoding a JPEG of 12 megapixels", rivals, count)
