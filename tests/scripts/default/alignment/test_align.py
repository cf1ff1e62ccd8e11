"""Alignment, on plain coloured pictures whose sentences name the colour."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from alignment import SETTINGS, SIDE, N, V, weights

from cmr_hub.errors import TrainingError
from scripts.default import alignment as module
from scripts.default.alignment import align
from scripts.default.views import PixelViews


def test_it_learns(views, pictures, words):
    settings = replace(SETTINGS, epochs=16)
    result = align(views, pictures, words, settings, 0)
    first, last = result.history[0], result.history[-1]
    assert last["loss"] < 0.6 * first["loss"]
    assert last["infonce"] < first["infonce"]
    assert last["label"] < 0.7 * first["label"]
    assert last["held_out"]["labelled"]["map"] > 0.9
    assert last["held_out"]["plain"]["recall@1"] > 0.9


def test_history_and_saving(views, pictures, words, monkeypatch):
    saved, asked = [], []

    def figures(images, sentences, owners, labels):
        asked.append((images, sentences, owners, labels))
        return {"pictures": float(len(images))}

    monkeypatch.setattr(module, "caption_figures", figures)
    settings = replace(SETTINGS, validate_every=2)
    result = align(views, pictures, words, settings, 0, save=saved.append)
    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    assert ["held_out" in row for row in result.history] == [False, True, True]
    assert result.history[-1]["held_out"] == {
        "labelled": {"pictures": 4.0},
        "plain": {"pictures": 4.0},
    }
    assert len(saved) == 2
    images, sentences, owners, labels = asked[0]
    assert images.shape == (4, 16)
    assert sentences.shape == (8, 16)
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, rtol=1e-5)
    assert owners.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert labels.tolist() == [0, 3, 2, 1]
    assert asked[1][3].tolist() == [-1] * 4


def test_what_is_measured_is_the_encoder(views, pictures, words, monkeypatch):
    """The held-out pictures' embeddings are those of their first view, in evaluation mode."""
    found = []

    def figures(images, *_):
        found.append(images)
        return {}

    monkeypatch.setattr(module, "caption_figures", figures)
    sentences = module._Sentences(pictures, words)
    run = module._Run(views, pictures, sentences, words, SETTINGS, 0, None, None)
    run.train(None, progress=False)
    rows = np.flatnonzero(pictures.held_out)[:4]
    with torch.inference_mode():
        features = run.result().encoder.network(module.resized(views.pixels[rows, 0], 32))
        expected = run.heads.image.embed(features.numpy())
    np.testing.assert_allclose(found[-2], expected, rtol=1e-3, atol=1e-3)


def test_held_out_pictures_teach_nothing(views, pictures, words):
    out = torch.from_numpy(pictures.held_out)
    pixels = views.pixels.clone()
    pixels[out] = 255 - pixels[out]
    others = tuple(
        ("a grey picture", "blue", "green green") if is_out else sentences
        for sentences, is_out in zip(pictures.sentences, pictures.held_out, strict=True)
    )
    labels = np.where(pictures.held_out, 0, pictures.labels)
    changed = replace(pictures, sentences=others, labels=labels)
    first = align(views, pictures, words, SETTINGS, 0)
    other = align(PixelViews(pixels, views.keys), changed, words, SETTINGS, 0)
    assert weights(other) == weights(first)
    assert other.history[-1]["loss"] == first.history[-1]["loss"]
    assert other.history[-1]["held_out"] != first.history[-1]["held_out"]


def test_training_pictures_and_sentences_do_teach(views, pictures, words):
    first = align(views, pictures, words, SETTINGS, 0)
    pixels = views.pixels.clone()
    pixels[1] = 255 - pixels[1]
    assert weights(align(PixelViews(pixels, views.keys), pictures, words, SETTINGS, 0)) != weights(
        first
    )
    sentences = (pictures.sentences[0], ("blue", "blue"), *pictures.sentences[2:])
    changed = replace(pictures, sentences=sentences)
    assert weights(align(views, changed, words, SETTINGS, 0)) != weights(first)


def test_only_labelled_pictures_enter_the_label_loss(views, pictures, words, monkeypatch):
    """The classifier meets no row but theirs, and a batch without labels costs nothing."""
    settings = replace(SETTINGS, epochs=1, objective={"label": {}})
    none = replace(pictures, labels=np.full(N, -1))
    result = align(views, none, words, settings, 0)
    assert result.history[-1]["loss"] == 0
    met = []
    entropy = torch.nn.functional.cross_entropy

    def counted(rows, labels):
        met.append(len(labels))
        assert labels.min() >= 0
        return entropy(rows, labels)

    monkeypatch.setattr("cmr_hub.losses.label.cross_entropy", counted)
    settings = replace(settings, batch_size=N)
    align(views, pictures, words, settings, 0)
    assert met == [20, 20]


def test_a_loss_that_wants_labels(views, pictures, words):
    settings = replace(SETTINGS, objective={"normsoftmax": {}})
    with pytest.raises(TrainingError, match="20 of 40 pictures have no label, and normsoftmax"):
        align(views, pictures, words, settings, 0)
    out = pictures.held_out | (pictures.labels < 0)
    align(views, replace(pictures, held_out=out), words, settings, 0)


def test_mirroring_spares_sides(views, pictures, words, monkeypatch):
    """Pictures dark on the left: those whose sentence speaks of a side stay as they are."""
    pixels = torch.full((N, V, SIDE, SIDE, 3), 200, dtype=torch.uint8)
    pixels[:, :, :, : SIDE // 2] = 20
    sided = [f"{('red', 'a red one on the Left')[row % 2]}" for row in range(N)]
    pictures = replace(pictures, sentences=tuple((sentence,) for sentence in sided))
    seen = {True: set(), False: set()}
    vary = module.varied

    def watched(batch, size, light):
        for picture, row in zip(batch, current, strict=True):
            seen[bool(row % 2)].add(bool(picture[0, 0, 0] == 20))
        return vary(batch, size, light)

    monkeypatch.setattr(module, "varied", watched)
    sentences = module._Sentences(pictures, words)
    run = module._Run(
        PixelViews(pixels, views.keys),
        pictures,
        sentences,
        words,
        SETTINGS,
        0,
        None,
        None,
    )
    loss = run.loss

    def remembered(batch, size, done):
        nonlocal current
        current = batch
        return loss(batch, size, done)

    current = torch.empty(0)
    monkeypatch.setattr(run, "loss", remembered)
    run.train(None, progress=False)
    assert seen == {True: {True}, False: {True, False}}
    assert (pixels[:, :, :, 0] == 20).all()


def test_pictures_of_one_class_come_in_runs(views, pictures, words):
    sentences = module._Sentences(pictures, words)
    run = module._Run(views, pictures, sentences, words, SETTINGS, 0, None, None)
    torch.manual_seed(0)
    order, other = run.order(), run.order()
    assert sorted(order.tolist()) == run.rows.tolist()
    assert not torch.equal(order, other)
    same = [int(run.labels[a] == run.labels[b]) for a, b in order.unfold(0, 2, 1).tolist()]
    # 20 labelled pictures, five of a class, in runs of two; the other 20 have no label.
    assert sum(same) >= 4 * 2 + 10
    assert len(set(run.labels[order[:20]].tolist())) == 5


def test_the_text_encoder_learns(views, pictures, words):
    result = align(views, pictures, words, SETTINGS, 0)
    before, after = (encoder.reader().weights() for encoder in (words, result.text_encoder))
    assert all(not np.array_equal(before[name], after[name]) for name in before)
    assert result.text_encoder.glove is words.glove


def test_one_of_its_own_sentences(pictures, words):
    uneven = tuple(("red",) * (1 + row % 5) for row in range(N))
    sentences = module._Sentences(replace(pictures, sentences=uneven), words)
    torch.manual_seed(0)
    batch = torch.arange(N).repeat(50)
    drawn = sentences.draw(batch)
    assert torch.equal(sentences.owner[drawn], batch)
    assert len(drawn.unique()) == sum(map(len, uneven))
    rows, owners = sentences.of(torch.tensor([7, 3]))
    assert sentences.owner[rows].tolist() == [3] * 4 + [7] * 3
    assert owners.tolist() == [1] * 4 + [0] * 3


def test_sentences_without_a_known_word_are_left_out(views, pictures, words):
    strange = tuple(
        (*sentences, "xyzzy") if row % 3 else ("xyzzy",)
        for row, sentences in enumerate(pictures.sentences)
    )
    sentences = module._Sentences(replace(pictures, sentences=strange), words)
    assert sentences.count.tolist() == [2 if row % 3 else 0 for row in range(N)]
    with_strange = replace(pictures, sentences=strange)
    run = module._Run(views, with_strange, sentences, words, SETTINGS, 0, None, None)
    assert (run.rows % 3 > 0).all()
    run.train(None, progress=False)
    none = replace(pictures, sentences=(("xyzzy",),) * N)
    with pytest.raises(TrainingError, match="no sentence has a word"):
        align(views, none, words, SETTINGS, 0)
    one = replace(pictures, sentences=(*pictures.sentences[:1], *none.sentences[1:]))
    with pytest.raises(TrainingError, match="at least two pictures"):
        align(views, one, words, SETTINGS, 0)


def test_starts_from_the_encoder(views, pictures, words, start):
    slow = replace(SETTINGS, epochs=1, learning_rate=1e-9, weight_decay=0.0)
    result = align(views, pictures, words, slow, 0, encoder=start)
    for name, value in start.state.items():
        if "running" not in name and value.is_floating_point():
            torch.testing.assert_close(result.encoder.state[name], value, rtol=0, atol=1e-6)
    first = align(views, pictures, words, SETTINGS, 0)
    other = align(views, pictures, words, SETTINGS, 0, encoder=start)
    assert weights(other) != weights(first)


def test_seed(views, pictures, words):
    first, second = (align(views, pictures, words, SETTINGS, seed) for seed in (0, 1))
    assert weights(first) != weights(second)


def test_the_callers_random_numbers_are_left_alone(views, pictures, words):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    align(views, pictures, words, replace(SETTINGS, epochs=1), 0)
    assert torch.equal(torch.rand(3), expected)


def test_learning_rates(views, pictures, words):
    settings = replace(SETTINGS, learning_rate=1e-3, projector_learning_rate=5e-3)
    sentences = module._Sentences(pictures, words)
    run = module._Run(views, pictures, sentences, words, settings, 0, None, None)
    run.train(None, progress=False)
    groups = run.optimizer.param_groups
    rates = {group["lr"] / groups[0]["lr"] for group in groups}
    assert sorted(rates) == pytest.approx([1, 5])
    heads = {id(weight) for weight in run.heads.parameters()}
    for group in groups:
        fast = group["lr"] > 2 * groups[0]["lr"]
        assert all((id(weight) in heads) == fast for weight in group["params"])
        matrices = {weight.ndim > 1 for weight in group["params"]}
        assert matrices == {group["weight_decay"] > 0}


def test_other_views(views, pictures, words):
    fewer = PixelViews(views.pixels[1:], views.keys[1:])
    with pytest.raises(TrainingError, match="47 rows of views for 48 pictures"):
        align(fewer, pictures, words, SETTINGS, 0)


def test_loss_that_is_not_finite(views, pictures, words):
    with pytest.raises(TrainingError, match=r"the loss became .* lower the learning rate"):
        align(views, pictures, words, replace(SETTINGS, learning_rate=1e12), 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 1},
        {"projector_learning_rate": 0.0},
        {"dim": 0},
        {"text_hidden": (0,)},
        {"alike": 0},
    ],
)
def test_settings_out_of_range(wrong):
    with pytest.raises(TrainingError, match="needs"):
        replace(SETTINGS, **wrong)
