"""Encoders run by other backends give what torch gives, and say what they are."""

import gc
import pickle
import re
import sys
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from cmr_hub.encoders.backends import backend_placement, making
from cmr_hub.encoders.backends.convert import export_image_encoder, export_text_encoder
from cmr_hub.encoders.backends.quantise import quantise
from cmr_hub.encoders.devices import Placement
from cmr_hub.encoders.images.compact import CompactEncoder
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.encoders.texts.pretrained import PretrainedTextEncoder
from cmr_hub.errors import CMRError, UnknownNameError

DOCUMENTS = [
    ("two dogs run on the beach", "a man"),
    ("cat",),
    ("a long sentence . with many words in it and more",),
    ("the dog",),
]


def least_cosine(rows, expected):
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(expected, axis=1)
    return float(((rows * expected).sum(axis=1) / lengths).min())


def test_pictures_are_as_in_torch(clip_image, clip_image_onnx, pictures) -> None:
    expected = clip_image.encode(pictures)
    assert least_cosine(clip_image_onnx.encode(pictures), expected) >= 0.9999
    assert least_cosine(expected[:1], expected[1:2]) < 0.9999  # they do differ
    assert clip_image_onnx.encode([]).shape == (0, clip_image.dim)


def test_texts_are_as_in_torch(clip_text, clip_text_openvino) -> None:
    found, expected = clip_text_openvino.transform(DOCUMENTS), clip_text.transform(DOCUMENTS)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_sentences_are_as_in_torch(sentence, sentence_onnx) -> None:
    expected = sentence.transform(DOCUMENTS)
    np.testing.assert_allclose(sentence_onnx.transform(DOCUMENTS), expected, atol=1e-5)
    assert sentence_onnx.unknown_words("dog 猫") == ["猫"]


def test_int8_is_close(sentence, sentence_int8, compact, compact_int8, pictures) -> None:
    expected = sentence.transform(DOCUMENTS)
    found = sentence_int8.transform(DOCUMENTS)
    assert least_cosine(found, expected) >= 0.95
    assert not np.allclose(found, expected, atol=1e-5)
    assert least_cosine(compact_int8.encode(pictures), compact.encode(pictures)) >= 0.9


def test_weights_of_8_bits_for_openvino(tmp_path) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import helper, numpy_helper
    from openvino import Core

    generator = np.random.default_rng(0)
    plain = generator.normal(size=(6, 4)).astype(np.float32) * [1, 10, 100, 0]
    turned = generator.normal(size=(3, 4)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "plain"], ["y"]),
            helper.make_node("Gemm", ["y", "turned"], ["z"], transB=1),
        ],
        "products",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 6])],
        [helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, ["n", 3])],
        [
            numpy_helper.from_array(plain.astype(np.float32), "plain"),
            numpy_helper.from_array(turned, "turned"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    onnx.save(model, str(tmp_path / "float32.onnx"))
    quantise(tmp_path / "float32.onnx", tmp_path / "int8.onnx", [], "openvino")
    settings = {"DYNAMIC_QUANTIZATION_GROUP_SIZE": 0, "INFERENCE_PRECISION_HINT": "f32"}
    network = Core().compile_model(str(tmp_path / "int8.onnx"), "CPU", settings)
    x = generator.normal(size=(5, 6)).astype(np.float32)

    def rounded(weights):  # of the columns
        scale = np.abs(weights).max(axis=0).clip(1e-12) / 127
        return np.rint(weights / scale) * scale

    expected = x @ rounded(plain) @ rounded(turned.T)
    np.testing.assert_allclose(network(x)[0], expected, rtol=1e-3, atol=1e-3)
    kept = {
        one.name: one.data_type for one in onnx.load(str(tmp_path / "int8.onnx")).graph.initializer
    }
    assert list(kept.values()).count(onnx.TensorProto.INT8) == 2
    assert not {"plain", "turned"} & kept.keys()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_row_does_not_depend_on_its_neighbours(
    clip_image_onnx, sentence_onnx, pictures, threads
) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        whole = clip_image_onnx.encode(pictures)
        single = np.vstack([clip_image_onnx.encode([one]) for one in pictures])
        texts = sentence_onnx.transform(DOCUMENTS)
        alone = np.vstack([sentence_onnx.transform([one]) for one in DOCUMENTS])
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(single, whole, atol=1e-6)
    np.testing.assert_allclose(alone, texts, atol=1e-6)


def test_fingerprints(
    clip_image, clip_image_onnx, compact, compact_int8, sentence, sentence_onnx, sentence_int8
) -> None:
    assert clip_image_onnx.fingerprint == clip_image.fingerprint
    assert clip_image_onnx.placement == Placement(backend="onnx")
    assert sentence_onnx.fingerprint == sentence.fingerprint
    assert sentence_onnx.identity == sentence.identity
    int8 = {compact_int8.fingerprint, sentence_int8.fingerprint, sentence_int8.identity}
    assert not int8 & {compact.fingerprint, sentence.fingerprint, sentence.identity}
    plain = Placement()
    marked = {backend_placement(name, int8=True).marked("a") for name in ("onnx", "openvino")}
    assert len(marked) == 2
    assert plain.marked("a") == backend_placement("onnx").marked("a") == "a"


def test_parts_are_exported_and_words_are_not(sentence, sentence_int8) -> None:
    words = text_encoder("bow").fit(DOCUMENTS)
    both = text_encoder("concat", encoders=["bow", "sentence"]).with_parts((words, sentence))
    placement = backend_placement("onnx", int8=True)
    assert export_text_encoder(words, placement) is words
    found = export_text_encoder(both, placement)
    assert found.identity != both.identity
    np.testing.assert_array_equal(
        found.transform(DOCUMENTS),
        np.hstack([words.transform(DOCUMENTS), sentence_int8.transform(DOCUMENTS)]),
    )


def test_an_export_is_made_once(clip_image, clip_image_onnx, pictures, monkeypatch) -> None:
    monkeypatch.setattr(making, "export_onnx", lambda *_, **__: pytest.fail("exported again"))
    again = export_image_encoder(clip_image, backend_placement("onnx"))
    np.testing.assert_array_equal(again.encode(pictures), clip_image_onnx.encode(pictures))
    assert export_image_encoder(again, backend_placement("onnx")) is again


def test_the_weights_of_torch_are_dropped(clip_files, clip_text_openvino) -> None:
    from cmr_hub.encoders.pretrained.load import _load

    network = _load(clip_files)
    weights = weakref.ref(next(network.network.parameters()))
    text = export_text_encoder(PretrainedTextEncoder(network), backend_placement("openvino"))
    del network
    gc.collect()
    assert weights() is None
    np.testing.assert_array_equal(
        text.transform(DOCUMENTS), clip_text_openvino.transform(DOCUMENTS)
    )


def test_it_can_be_pickled(clip_image_onnx, pictures) -> None:
    again = pickle.loads(pickle.dumps(clip_image_onnx))
    np.testing.assert_array_equal(again.encode(pictures), clip_image_onnx.encode(pictures))


def test_it_stays_on_the_cpu(clip_image_onnx, clip_text_openvino, sentence_onnx) -> None:
    for encoder in (clip_image_onnx, clip_text_openvino):
        assert encoder.to(Placement()) is encoder
        with pytest.raises(CMRError, match="backend torch"):
            encoder.to(Placement("cpu", "bfloat16"))
    with pytest.raises(CMRError, match="no weights to train"):
        sentence_onnx.last_layers(1)


def test_what_cannot_be_exported_says_so(compact, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CMR_CACHE_HOME", str(tmp_path))

    class Branching(nn.Module):
        def forward(self, pixels):
            rows = pixels.mean(dim=(2, 3))
            return rows if rows.sum() > 0 else -rows

    odd = CompactEncoder(compact.state, "file")
    odd.network = Branching()
    with pytest.raises(CMRError, match=r"cannot be exported .*backend torch"):
        export_image_encoder(odd, backend_placement("onnx"))
    odd.network = None
    with pytest.raises(CMRError, match=r"cannot be exported.*backend torch"):
        export_image_encoder(odd, backend_placement("onnx"))
    assert not [path for path in (tmp_path / "exports").iterdir() if path.is_dir()]


def test_an_export_that_gives_other_rows_is_refused(compact, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CMR_CACHE_HOME", str(tmp_path))
    other = nn.Sequential(nn.AdaptiveAvgPool2d(16), nn.Flatten(), nn.Linear(768, 512))

    def export_another(network, run, example, file, name, **options):
        run = lambda batch: other(batch["pixels"])  # noqa: E731
        real(other, run, example, file, name, **options)

    real = making.export_onnx
    monkeypatch.setattr(making, "export_onnx", export_another)
    with pytest.raises(CMRError, match=r"other rows in float32 .*backend torch"):
        export_image_encoder(compact, backend_placement("onnx"))
    assert not [path for path in (tmp_path / "exports").iterdir() if path.is_dir()]


@pytest.mark.parametrize(
    ("backend", "missing", "wanted"),
    [("onnx", "onnxruntime", "onnxruntime"), ("openvino", "openvino", "'cmr-hub[openvino]'")],
)
def test_a_missing_package_is_named(compact, backend, missing, wanted, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(CMRError, match=rf"needs {missing} .*pip install {re.escape(wanted)}"):
        export_image_encoder(compact, backend_placement(backend))


def test_names() -> None:
    assert backend_placement("torch") == Placement()
    with pytest.raises(UnknownNameError, match="torch, onnx, openvino"):
        backend_placement("tensorflow")
    with pytest.raises(CMRError, match="onnx or openvino"):
        backend_placement("torch", int8=True)
