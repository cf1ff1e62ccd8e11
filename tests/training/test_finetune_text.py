"""Fine-tuning the sentence encoder, on a transformer of two layers that is trained in a moment."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import cmr_hub
from cmr_hub import memory
from cmr_hub.datasets import load_dataset
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.encoders.texts.sentence import SentenceEncoder
from cmr_hub.encoders.texts.storage import load_text_encoder, save_text_encoder
from cmr_hub.errors import CMRError, ModelFormatError, TrainingError
from cmr_hub.experiments.run import run_experiment
from cmr_hub.metrics.validation import validation_map
from cmr_hub.training.data import PairedFeatures, TrainingSplits
from cmr_hub.training.finetune import FineTuning
from cmr_hub.training.finetune_text import TextFineTuning, TextTail
from cmr_hub.training.trainer import train_projectors

DOCUMENTS = [
    ("The dog runs.", "Two men", "a cat and the dog"),
    ("A cat",),
    ("犬", "the the the the dog and the cat, two men"),
    ("cat " * 40, "犬", "men"),
    (),
]


@pytest.fixture(scope="module")
def source(build_sentence_model, tmp_path_factory):
    return build_sentence_model(tmp_path_factory.mktemp("transformer") / "tiny")


@pytest.fixture
def encoder(source):
    return SentenceEncoder(source=str(source), batch_size=2).fit([])


@pytest.fixture
def dataset(colour_folder):
    return load_dataset("folder", colour_folder)


@pytest.fixture
def tuning():
    return TextFineTuning(layers=1, learning_rate=1e-3)


def tail_of(encoder, tuning):
    return TextTail(encoder.last_layers(tuning.layers), tuning.learning_rate)


@pytest.fixture
def splits(encoder, dataset, tuning):
    train = dataset.split("train")
    whole = PairedFeatures(
        (np.random.default_rng(0).normal(size=(24, 5)) + train.labels[:, None]).astype(np.float32),
        encoder.token_states(train.sentences, tuning.layers),
        train.labels,
        3,
    )
    fit, validation = np.arange(0, 24, 2), np.arange(1, 24, 2)
    return TrainingSplits(whole.subset(fit), whole.subset(validation), refit=whole)


def state(*modules):
    return {
        f"{number}.{name}": value.clone()
        for number, module in enumerate(modules)
        for name, value in module.state_dict().items()
    }


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def trained_state(trained):
    return state(trained.image_projector, trained.text_projector, trained.text_tail)


def doubled(encoder, layers):
    """The encoder with its last layers' weights doubled."""
    tail = encoder.last_layers(layers)
    with torch.no_grad():
        for weight in tail.parameters():
            weight.mul_(2)
    return encoder.with_last_layers(tail)


@pytest.mark.parametrize("aggregation", ["sentence-mean", "document"])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_two_parts_are_the_whole(source, layers, aggregation):
    encoder = SentenceEncoder(source=str(source), aggregation=aggregation, batch_size=2).fit([])
    states = encoder.token_states(DOCUMENTS, layers)
    assert states.dtype == np.float16
    assert states.shape == (5, 3 if aggregation == "sentence-mean" else 1, 24, 16)
    assert not states[4].any()
    features = tail_of(encoder, TextFineTuning(layers)).plain(torch.from_numpy(states)).numpy()
    np.testing.assert_allclose(features, encoder.transform(DOCUMENTS), atol=5e-3)
    assert not features[4].any()


@pytest.mark.parametrize("layers", [-1, 0, 3])
def test_layers_that_are_not_there(encoder, layers):
    with pytest.raises(CMRError, match="in its last 1 to 2 layers"):
        encoder.token_states(DOCUMENTS, layers)


def test_drawing_takes_every_part_of_the_sentences(encoder, tuning):
    """The features of a draw are those of the document cut down to a part of its sentences."""
    tail = tail_of(encoder, tuning)
    states = torch.from_numpy(encoder.token_states(DOCUMENTS[:1], tuning.layers))
    subsets = [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]]
    parts = [[DOCUMENTS[0][place] for place in subset] for subset in subsets]
    expected = torch.from_numpy(encoder.transform(parts))
    torch.manual_seed(0)
    with torch.no_grad():
        drawn = tail.draw(states.expand(600, -1, -1, -1))
    distances = torch.cdist(drawn, expected)
    assert distances.min(1).values.max() < 5e-3
    counts = torch.bincount(distances.argmin(1), minlength=7)
    # One, two or three sentences are equally likely, then each choice of so many.
    np.testing.assert_allclose(counts / 600, [1 / 9] * 6 + [1 / 3], atol=0.05)
    empty = torch.zeros(2, 3, 4, 16, dtype=torch.float16)
    assert not tail.draw(empty).any()


def test_new_weights_are_in_the_new_encoder_only(encoder):
    before, fingerprint = encoder.transform(DOCUMENTS), encoder.fingerprint
    changed = doubled(encoder, 1)
    np.testing.assert_array_equal(encoder.transform(DOCUMENTS), before)
    assert encoder.fingerprint == fingerprint != changed.fingerprint
    assert np.abs(changed.transform(DOCUMENTS) - before).max() > 0.01
    assert encoder.state()[1] == {}
    names = set(changed.state()[1])
    assert {name.split(".")[2] for name in names} == {"1"}
    assert len(names) == 16
    assert {name.split(".")[2] for name in doubled(changed, 2).state()[1]} == {"0", "1"}
    # Fitting again does not bring the old weights back.
    rows = changed.transform(DOCUMENTS)
    np.testing.assert_array_equal(changed.fit(DOCUMENTS).transform(DOCUMENTS), rows)


def test_saved_and_read_back(encoder, tmp_path):
    changed = doubled(encoder, 1)
    save_text_encoder(changed, tmp_path)
    again = load_text_encoder(tmp_path)
    assert again.fingerprint == changed.fingerprint
    np.testing.assert_array_equal(again.transform(DOCUMENTS), changed.transform(DOCUMENTS))
    # What is saved is what has changed, not the whole transformer.
    stored = load_file(tmp_path / "text_encoder.safetensors")
    assert stored.keys() == changed.state()[1].keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays | {"encoder.layer.7.x": np.zeros(3, np.float32)}, "no weight 'enc"),
        (lambda arrays: {name: array[:1] for name, array in arrays.items()}, "is 1"),
        (lambda arrays: {name: array * np.nan for name, array in arrays.items()}, "not finite"),
    ],
)
def test_weights_that_do_not_fit(encoder, change, message):
    settings, arrays = doubled(encoder, 1).state()
    with pytest.raises(ModelFormatError, match=message):
        SentenceEncoder.from_state(settings, change(arrays))


def test_gradients_reach_the_tail_and_nothing_else(encoder, splits, preset, tuning):
    tail = tail_of(encoder, tuning)
    before, own = state(tail), encoder.fingerprint
    rows = encoder.transform(DOCUMENTS)
    trained = train_projectors(splits, preset, 0, validation_map, text_tail=tail)
    assert same(state(tail), before)
    assert encoder.fingerprint == own
    np.testing.assert_array_equal(encoder.transform(DOCUMENTS), rows)
    moved = {name for name, value in state(trained.text_tail).items()}
    assert all(not torch.equal(state(trained.text_tail)[name], before[name]) for name in moved)
    assert trained.image_tail is None


def test_learning_rate_is_the_tails_own(encoder, splits, preset, tuning):
    """Adam's first step moves every weight by the learning rate, whatever the gradient."""
    preset = replace(
        preset, epochs=1, batch_size=64, weight_decay=0.0, early_stopping=False, learning_rate=1e-2
    )
    tail = tail_of(encoder, tuning)
    trained = train_projectors(splits, preset, 0, validation_map, text_tail=tail)
    name = "layers.encoder.layer.0.output.dense.weight"
    moved = (trained.text_tail.state_dict()[name] - tail.state_dict()[name]).abs()
    assert float(moved.max()) == pytest.approx(1e-3, rel=1e-2)


def test_tail_that_does_not_move_is_training_on_features(encoder, splits, preset):
    """One sentence each and no learning: the same as training on the frozen features."""
    tail = tail_of(encoder, TextFineTuning(1, 1e-30))
    preset = replace(preset, objective={"label": {}}, dropout=(0.0, 0.0), weight_decay=0.0)
    parts = [
        replace(part, texts=part.texts[:, :1])
        for part in (splits.fit, splits.validation, splits.refit)
    ]
    features = [
        replace(part, texts=tail.plain(torch.from_numpy(part.texts)).numpy()) for part in parts
    ]
    tuned = train_projectors(TrainingSplits(*parts), preset, 0, validation_map, text_tail=tail)
    frozen = train_projectors(TrainingSplits(*features), preset, 0, validation_map)
    assert frozen.text_tail is None
    for row, other in zip(tuned.history, frozen.history, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-3)


def test_same_seed_same_bits(encoder, splits, preset, tuning):
    runs = [
        train_projectors(splits, preset, seed, validation_map, text_tail=tail_of(encoder, tuning))
        for seed in (4, 4, 5)
    ]
    assert same(trained_state(runs[0]), trained_state(runs[1]))
    assert not same(trained_state(runs[0]), trained_state(runs[2]))


def test_stopped_fine_tuning_goes_on(encoder, splits, preset, tuning, tmp_path, monkeypatch):
    monkeypatch.setattr("cmr_hub.training.trainer._CHECKPOINT_SECONDS", 0.0)
    tail = tail_of(encoder, tuning)
    whole = train_projectors(splits, preset, 0, validation_map, text_tail=tail)
    calls = []

    def interrupt(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return validation_map(*arguments)

    options = {"text_tail": tail, "checkpoints": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        train_projectors(splits, preset, 0, interrupt, **options)
    resumed = train_projectors(splits, preset, 0, validation_map, **options)
    assert same(trained_state(whole), trained_state(resumed))
    options["text_tail"] = TextTail(tail.layers, 2e-3)
    with pytest.raises(TrainingError, match="another preset, seed, data or encoder"):
        train_projectors(splits, preset, 0, validation_map, **options)


@pytest.mark.parametrize("images_too", [False, True])
def test_experiment(mobilenet, source, dataset, preset, tuning, images_too, tmp_path):
    words = SentenceEncoder(source=str(source))
    tuned = run_experiment(
        dataset,
        replace(preset, epochs=2),
        0,
        image_encoder=mobilenet,
        text_encoder=words,
        fine_tuning=FineTuning(blocks=1, views=2) if images_too else None,
        text_fine_tuning=tuning,
    )
    assert tuned.record.text_fine_tuned == {"layers": 1, "learning_rate": 1e-3}
    assert (tuned.record.fine_tuned is not None) == images_too
    model = tuned.model
    changed = model.image.encoder.weights_sha256 != mobilenet.weights_sha256
    assert changed == images_too
    assert model.text.encoder.fingerprint != words.fingerprint

    test = dataset.split("test")
    embeddings = model.encode_documents(test.sentences)
    np.testing.assert_allclose(embeddings, tuned.test_embeddings[1], atol=1e-5)
    model.save_pretrained(tmp_path / "model")
    again = cmr_hub.load(tmp_path / "model")
    np.testing.assert_array_equal(again.encode_documents(test.sentences), embeddings)
    np.testing.assert_array_equal(
        again.encode_images(test.images), model.encode_images(test.images)
    )
    assert again.fingerprint == model.fingerprint


def test_what_cannot_be_fine_tuned(
    encoder, source, mobilenet, dataset, preset, tuning, monkeypatch
):
    with pytest.raises(TrainingError, match="bow has no layers to fine-tune; use 'sentence'"):
        run_experiment(
            dataset,
            preset,
            0,
            image_encoder=mobilenet,
            text_encoder=text_encoder("bow"),
            text_fine_tuning=tuning,
        )
    for wrong in ({"layers": 0}, {"learning_rate": 0.0}):
        with pytest.raises(TrainingError, match="at least one layer and a learning rate"):
            TextFineTuning(**({"layers": 1} | wrong))
    encoder._model.encoder.layer = torch.nn.ParameterList()
    with pytest.raises(CMRError, match="only BERT-style"):
        encoder.token_states(DOCUMENTS, 1)
    # 5 × 3 × 24 × 16 numbers of 2 bytes, twice: 22.5 KiB of a machine with 40.
    sizes = {"SC_PAGE_SIZE": 1024, "SC_PHYS_PAGES": 40}
    monkeypatch.setattr(memory.os, "sysconf", sizes.__getitem__)
    whole = SentenceEncoder(source=str(source)).fit([])
    with pytest.raises(TrainingError, match="5 texts of up to 3 sentences of up to 24 tokens"):
        whole.token_states(DOCUMENTS, 1)
