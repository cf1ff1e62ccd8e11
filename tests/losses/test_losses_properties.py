"""What must hold of every registered loss, whatever the batch; a new loss is tested by its line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cmr_hub.losses import LOSSES, build_loss
from cmr_hub.losses.base import Loss

DIM, CLASSES = 5, 4
# Draws its triplets at random unless told otherwise.
STEADY = {"triplet": {"mining": "batch-hard"}}
# As in the release, where no row of another class is alike the first of the batch is the negative.
KNOWS_ORDER = {"acmr-released"}
# Lengths decide nothing: all is normalised inside.
KNOWS_NO_LENGTH = ("coral", "cosface", "infonce", "mmd", "mrl", "normsoftmax", "proxy-anchor")
KNOWS_NO_LENGTH += ("supcon",)
# Nothing but dot products within the batch: a rotation of both sides decides nothing.
KNOWS_NO_AXES = ("cmpm", "coral", "dcca", "dcca-ey", "infonce", "mmd", "supcon", "triplet")
# Each dimension's own scale decides nothing, nor where its zero is.
KNOWS_NO_SCALE = ("correlation",)
KNOWS_NO_PLACE = ("correlation", "dcca", "dcca-ey")
NEEDS_NO_LABELS = ("coral", "correlation", "dcca", "dcca-ey", "mmd")
NEVER_NEGATIVE = ("cmpm", "coral", "cosface", "infonce", "label", "normsoftmax", "supcon")
NEVER_NEGATIVE += ("triplet",)
SYMMETRIC = ("coral", "correlation", "dcca", "dcca-ey", "infonce", "mmd", "supcon")


@st.composite
def batches(draw: st.DrawFn, ordinary: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Images, texts and labels, float64; rows repeat, vanish and are long unless `ordinary`."""
    size = draw(st.integers(2 if ordinary else 1, 9))
    seed = draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    images, texts = generator.normal(size=(2, size, DIM))
    labels = np.array(draw(st.lists(st.integers(0, CLASSES - 1), min_size=size, max_size=size)))
    if not ordinary:
        for rows in (images, texts):
            kinds = st.sampled_from(["as it is", "zero", "first", "short", "long", "one axis"])
            for place, kind in enumerate(draw(st.lists(kinds, max_size=size))):
                match kind:
                    case "zero":
                        rows[place] = 0
                    case "first":
                        rows[place] = rows[0]
                    case "short":
                        rows[place] *= 1e-12
                    case "long":
                        rows[place] *= 1e3
                    case "one axis":
                        rows[place] = np.eye(DIM)[place % DIM]
        if draw(st.booleans()):
            texts = images.copy()
    return torch.from_numpy(images), torch.from_numpy(texts), torch.from_numpy(labels)


def value_of(loss: Loss, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
    torch.manual_seed(3)
    loss.observe(images.detach() + 1, texts.detach() - 1)
    result: Tensor = loss(images, texts, labels)
    return result


def built(name: str, **options: object) -> Loss:
    torch.manual_seed(0)
    loss = build_loss(name, DIM, CLASSES, **STEADY.get(name, {}) | options)
    loss.schedule(0.5)
    return loss.double()


def turn(seed: int) -> Tensor:
    """A rotation, perhaps with a mirror."""
    return torch.from_numpy(np.linalg.qr(np.random.default_rng(seed).normal(size=(DIM, DIM)))[0])


@pytest.mark.parametrize("name", LOSSES)
@given(batch=batches(), single=st.booleans())
def test_value_and_gradient_are_finite(
    name: str, batch: tuple[Tensor, Tensor, Tensor], single: bool
) -> None:
    loss = built(name).float() if single else built(name)
    images, texts = (z.float() if single else z for z in batch[:2])
    images, texts = images.clone().requires_grad_(), texts.clone().requires_grad_()
    value = value_of(loss, images, texts, batch[2])
    assert value.shape == ()
    assert value.dtype == images.dtype
    assert torch.isfinite(value)
    value.backward()
    for z in (images, texts):
        assert z.grad is not None
        assert torch.isfinite(z.grad).all()
    for parameter in loss.parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()
    assert all(torch.isfinite(figure) for figure in loss.logs.values())


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - KNOWS_ORDER))
@given(batch=batches(ordinary=True), seed=st.integers(0, 1000))
def test_the_order_of_the_batch_decides_nothing(
    name: str, batch: tuple[Tensor, Tensor, Tensor], seed: int
) -> None:
    loss = built(name)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(batch[2])))
    torch.testing.assert_close(
        value_of(loss, *(tensor[order] for tensor in batch)), value_of(loss, *batch)
    )


@pytest.mark.parametrize("name", KNOWS_NO_LENGTH)
@given(batch=batches(ordinary=True), power=st.integers(-20, 20))
def test_length_decides_nothing(
    name: str, batch: tuple[Tensor, Tensor, Tensor], power: int
) -> None:
    loss = built(name)
    images, texts, labels = batch
    scales = 2.0 ** (torch.arange(len(labels)) % 5 - 2.0)[:, None]
    torch.testing.assert_close(
        value_of(loss, images * scales, texts * 1.5**power, labels), value_of(loss, *batch)
    )


@pytest.mark.parametrize("name", KNOWS_NO_AXES)
@given(batch=batches(ordinary=True), seed=st.integers(0, 1000))
def test_rotations_decide_nothing(
    name: str, batch: tuple[Tensor, Tensor, Tensor], seed: int
) -> None:
    loss, rotation = built(name), turn(seed)
    images, texts, labels = batch
    torch.testing.assert_close(
        value_of(loss, images @ rotation, texts @ rotation, labels), value_of(loss, *batch)
    )


@given(batch=batches(ordinary=True), seeds=st.tuples(st.integers(0, 99), st.integers(0, 99)))
def test_dcca_knows_the_axes_of_neither_side(
    batch: tuple[Tensor, Tensor, Tensor], seeds: tuple[int, int]
) -> None:
    loss = built("dcca")
    images, texts, labels = batch
    torch.testing.assert_close(
        value_of(loss, images @ turn(seeds[0]), texts @ turn(seeds[1]), labels),
        value_of(loss, *batch),
    )


@pytest.mark.parametrize("name", KNOWS_NO_PLACE)
@given(batch=batches(ordinary=True), seed=st.integers(0, 1000))
def test_shifts_decide_nothing(name: str, batch: tuple[Tensor, Tensor, Tensor], seed: int) -> None:
    loss = built(name)
    images, texts, labels = batch
    shifts = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, DIM)))
    torch.testing.assert_close(
        value_of(loss, images + shifts[0], texts + shifts[1], labels), value_of(loss, *batch)
    )


@pytest.mark.parametrize("name", KNOWS_NO_SCALE)
@given(batch=batches(ordinary=True), powers=st.lists(st.integers(-3, 3), min_size=5, max_size=5))
def test_scales_of_dimensions_decide_nothing(
    name: str, batch: tuple[Tensor, Tensor, Tensor], powers: list[int]
) -> None:
    loss = built(name)
    images, texts, labels = batch
    torch.testing.assert_close(
        value_of(loss, images * 2.0 ** torch.tensor(powers), texts, labels), value_of(loss, *batch)
    )


@pytest.mark.parametrize("name", NEEDS_NO_LABELS)
@given(batch=batches(ordinary=True))
def test_labels_decide_nothing(name: str, batch: tuple[Tensor, Tensor, Tensor]) -> None:
    loss = built(name)
    images, texts, labels = batch
    assert value_of(loss, images, texts, torch.zeros_like(labels)) == value_of(loss, *batch)


@pytest.mark.parametrize("name", SYMMETRIC)
@given(batch=batches(ordinary=True))
def test_the_sides_are_equal(name: str, batch: tuple[Tensor, Tensor, Tensor]) -> None:
    loss = built(name)
    images, texts, labels = batch
    torch.testing.assert_close(value_of(loss, texts, images, labels), value_of(loss, *batch))


@given(batch=batches(ordinary=True))
def test_values_keep_their_bounds(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    images, _, labels = batch
    for name in NEVER_NEGATIVE:
        assert value_of(built(name), *batch) >= -1e-5, name
    assert -1e-9 <= value_of(built("correlation"), *batch) <= 2 + 1e-9
    assert -DIM - 1e-9 <= value_of(built("dcca"), *batch) <= 1e-9
    # Of equal sides nothing is left to align.
    for name in ("coral", "correlation"):
        assert value_of(built(name), images, images, labels).abs() < 1e-9
