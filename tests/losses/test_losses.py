"""What every registered loss must stand; a new loss is tested by its line in the registry."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from cmr_hub.errors import CMRError, UnknownNameError
from cmr_hub.losses import LOSSES, build_loss, loss_class, loss_options
from cmr_hub.losses.base import Loss, zero_loss

DIM, CLASSES = 6, 4

# Losses whose backward pass is on purpose not the derivative of their value; each has a test of
# its gradient in its own file.
OTHER_GRADIENT = {
    "acmr-released": "the embeddings are detached from the domain loss",
    "adversarial": "the gradient is reversed",
    "mmd": "the bandwidth is detached",
}
# Draws its triplets at random unless told otherwise.
STEADY = {"triplet": {"mining": "batch-hard"}}

# Stored runs name a loss without the options that are its defaults: they may never change.
DEFAULTS = {
    "cosface": {"scale": 64.0, "margin": 0.35},
    "dcca": {"ridge": 1e-3},
    "fume": {"alpha": 1.0},
    "infonce": {"temperature": 0.07},
    "mrl": {"beta": 0.7, "temperature": 1.0},
    "normsoftmax": {"scale": 20.0, "margin": 0.0},
    "proxy-anchor": {"alpha": 32.0, "delta": 0.1},
    "supcon": {"temperature": 0.1},
    "triplet": {"margin": 0.3, "mining": "random"},
}


def value_of(loss: Loss, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
    loss.observe(images.detach() + 1, texts.detach() - 1)
    result: Tensor = loss(images, texts, labels)
    return result


def rows(kind: str) -> tuple[Tensor, Tensor, Tensor]:
    images, texts = torch.randn(2, 10, DIM).unbind()
    labels = torch.arange(10) % CLASSES
    if kind == "batch of one":
        return images[:1], texts[:1], labels[:1]
    if kind == "one class":
        return images, texts, torch.full_like(labels, 2)
    if kind == "repeated rows":
        return images[:2].repeat(5, 1), texts[:2].repeat(5, 1), labels
    if kind == "one point":
        return images[:1].expand(10, -1), images[:1].expand(10, -1), labels
    if kind == "equal pairs":
        return images, images.clone(), labels
    if kind == "zero rows":
        place = torch.arange(10)[:, None]
        return images * (place > 3), texts * (place > 1), labels
    if kind == "all zero":
        return torch.zeros_like(images), torch.zeros_like(texts), labels
    if kind == "short rows":
        return images * 1e-12, texts * 1e-12, labels
    assert kind == "long rows"
    return images * 1e3, texts * 1e3, labels


KINDS = [
    "batch of one",
    "one class",
    "repeated rows",
    "one point",
    "equal pairs",
    "zero rows",
    "all zero",
    "short rows",
    "long rows",
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LOSSES)
def test_value_and_gradient_stay_finite(name: str, kind: str) -> None:
    loss = build_loss(name, DIM, CLASSES)
    loss.schedule(0.5)
    images, texts, labels = rows(kind)
    images, texts = images.clone().requires_grad_(), texts.clone().requires_grad_()
    value = value_of(loss, images, texts, labels)
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    value.backward()
    for z in (images, texts):
        assert z.grad is not None, "the loss must stay connected to the embeddings"
        assert torch.isfinite(z.grad).all()
        if kind != "long rows":
            assert z.grad.abs().max() < 1e6, "a zero row must not explode"
    for parameter in loss.parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()
    assert all(torch.isfinite(figure) and not figure.requires_grad for figure in loss.logs.values())


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - OTHER_GRADIENT))
def test_gradient_is_the_derivative(name: str, batch: tuple[Tensor, Tensor, Tensor]) -> None:
    loss = build_loss(name, DIM, CLASSES).double()
    images, texts, labels = batch
    parameters = dict(loss.named_parameters())

    def value(images: Tensor, texts: Tensor, *values: Tensor) -> Tensor:
        torch.manual_seed(3)
        named = dict(zip(parameters, values, strict=True))
        result: Tensor = functional_call(loss, named, (images, texts, labels))
        return result

    assert torch.autograd.gradcheck(value, (images, texts, *parameters.values()), atol=1e-6)


@pytest.mark.parametrize("name", ["coral", "correlation", "dcca", "dcca-ey", "mmd"])
def test_one_pair_teaches_nothing_of_a_distribution_and_two_do(
    name: str, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    loss = build_loss(name, DIM, CLASSES).double()
    assert loss(*(tensor[:1] for tensor in batch)) == 0
    assert loss(*(tensor[:2] for tensor in batch)).abs() > 1e-6


def test_nothing_is_zero_of_zero_rows_too() -> None:
    images, texts = torch.zeros(2, 3, requires_grad=True), torch.zeros(2, 3, requires_grad=True)
    value = zero_loss(images, texts)
    value.backward()
    assert value == 0
    assert images.grad is not None
    assert not images.grad.any()


@pytest.mark.parametrize("name", LOSSES)
def test_order_of_the_batch_does_not_matter(
    name: str, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    loss = build_loss(name, DIM, CLASSES, **STEADY.get(name, {})).double()
    order = torch.randperm(len(batch[0]))
    torch.testing.assert_close(
        value_of(loss, *batch), value_of(loss, *(tensor[order] for tensor in batch))
    )


@pytest.mark.parametrize("name", LOSSES)
def test_inputs_are_left_alone_and_the_value_repeats(
    name: str, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    loss = build_loss(name, DIM, CLASSES).double()
    before = [tensor.detach().clone() for tensor in batch]
    values = []
    for _ in range(2):
        torch.manual_seed(5)
        values.append(value_of(loss, *batch))
    assert values[0] == values[1]
    for tensor, old in zip(batch, before, strict=True):
        assert torch.equal(tensor, old)


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {"acmr-released"}))
def test_a_few_steps_lower_the_loss(name: str, batch: tuple[Tensor, Tensor, Tensor]) -> None:
    loss = build_loss(name, DIM, CLASSES, **STEADY.get(name, {})).double()
    images, texts, labels = (tensor.detach().clone() for tensor in batch)
    leaves = [images.requires_grad_(), texts.requires_grad_(), *loss.parameters()]
    optimiser = torch.optim.Adam(leaves, lr=0.01)
    first = value_of(loss, images, texts, labels)
    for _ in range(30):
        optimiser.zero_grad()
        value_of(loss, images, texts, labels).backward()
        optimiser.step()
    assert value_of(loss, images, texts, labels) < first


@pytest.mark.parametrize("name", LOSSES)
def test_state_is_restored(name: str, batch: tuple[Tensor, Tensor, Tensor]) -> None:
    options = STEADY.get(name, {})
    loss = build_loss(name, DIM, CLASSES, **options).double()
    other = build_loss(name, DIM, CLASSES, **options).double()
    other.load_state_dict(loss.state_dict())
    assert value_of(loss, *batch) == value_of(other, *batch)


@pytest.mark.parametrize("name", LOSSES)
def test_docstring_has_the_fixed_shape(name: str) -> None:
    text = loss_class(name).__doc__ or ""
    places = [text.find(f"\n    {part}:") for part in ("Equation", "Inputs", "References")]
    assert -1 not in places
    assert places == sorted(places)
    for option in loss_options(name):
        assert f"{option}: " in text, f"{option} is not explained under Args"


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults(name: str) -> None:
    loss = build_loss(name, DIM, CLASSES)
    assert {option: getattr(loss, option) for option in DEFAULTS[name]} == DEFAULTS[name]


# Without numbers the labels cannot be asked (label, triplet), and torch has no covariance (coral).
@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {"coral", "label", "triplet"}))
def test_all_is_computed_where_the_rows_are(name: str) -> None:
    loss = build_loss(name, DIM, CLASSES).to("meta")
    images, texts, labels = (tensor.to("meta") for tensor in rows("one class"))
    assert value_of(loss, images, texts, labels).device.type == "meta"


def test_sizes_go_to_those_that_want_them() -> None:
    assert build_loss("label", 5, 3).classifier.weight.shape == (3, 5)
    assert not list(build_loss("triplet", 5, 3, margin=0.2).parameters())


def test_unknown_names_and_options_are_told() -> None:
    with pytest.raises(UnknownNameError, match=r"^unknown loss 'tripplet'; .*triplet"):
        build_loss("tripplet", DIM, CLASSES)
    with pytest.raises(CMRError, match=r"'margn'.*margin, mining"):
        build_loss("triplet", DIM, CLASSES, margn=0.1)
    with pytest.raises(CMRError, match="its options: none"):
        build_loss("coral", DIM, CLASSES, width=3)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("triplet", {"margin": -1}),
        ("triplet", {"margin": "wide"}),
        ("triplet", {"mining": "hardest"}),
        ("triplet", {"mining": ["random"]}),
        ("supcon", {"temperature": 0}),
        ("infonce", {"temperature": float("nan")}),
        ("cosface", {"margin": 1}),
        ("cosface", {"margin": "wide"}),
        ("cosface", {"scale": True}),
        ("proxy-anchor", {"alpha": 0}),
        ("proxy-anchor", {"delta": 0}),
        ("mrl", {"beta": 1.5}),
        ("fume", {"alpha": float("inf")}),
        ("dcca", {"ridge": 0}),
        ("adversarial", {"hidden": 3}),
        ("adversarial", {"hidden": [0]}),
        ("adversarial", {"hidden": [2.5]}),
    ],
)
def test_bad_values_are_told(name: str, options: dict[str, object]) -> None:
    (option,) = options
    with pytest.raises(CMRError, match=option):
        build_loss(name, DIM, CLASSES, **options)


def test_importing_the_registry_costs_nothing() -> None:
    code = "import sys, cmr_hub.losses; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
