"""Multiply the class posteriors of a network by those of a linear classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cmr_hub.baselines.classifier import Classifier, final_classifiers
from cmr_hub.errors import TrainingError
from cmr_hub.models.projector import Projector

if TYPE_CHECKING:
    from cmr_hub.training.data import TrainingSplits
    from cmr_hub.training.presets import LinearExpert


def with_linear_experts(
    images: Projector, texts: Projector, splits: TrainingSplits, expert: LinearExpert
) -> tuple[Projector, Projector]:
    """Combine the posteriors of projectors and linear classifiers by their geometric mean.

        p ∝ √(p_network · softmax((x' W + b) / T))

    W, b are the weights of a multinomial logistic regression (see `Classifier`) on the network's
    training pairs. In this product of experts (Hinton 1999) the two make different errors, and the
    convex regression makes fewer with few training pairs. The product is again a projector, because
    a linear map is the difference of two rectified units, x = relu(x) − relu(−x).

    Args:
        images, texts: trained projectors with one hidden ReLU layer and a posterior output.
        splits: the pairs that they were trained on.
        expert: settings of the regressions.

    Raises:
        TrainingError: a projector has another architecture, or a class has no training pairs.
    """
    linear = final_classifiers(splits, expert.image_penalty, expert.text_penalty)
    return (
        _product(images, linear[0], expert.temperature),
        _product(texts, linear[1], expert.temperature),
    )


@torch.no_grad()
def _product(network: Projector, classifier: Classifier, temperature: float) -> Projector:
    settings = network.settings
    layers = [layer for layer in network.layers if isinstance(layer, nn.Linear)]
    if (
        len(layers) != 2
        or settings["activation"] != "relu"
        or not network.output.startswith("posterior")
    ):
        raise TrainingError(
            "a linear expert needs projectors with one hidden ReLU layer and a posterior output"
        )
    hidden, last = layers
    linear = classifier.projector()
    (linear_layer,) = (layer for layer in linear.layers if isinstance(layer, nn.Linear))
    if len(linear_layer.weight) != len(last.weight):
        raise TrainingError(
            f"the linear expert needs training pairs of all {len(last.weight)} classes; "
            f"there are pairs of {len(linear_layer.weight)}"
        )
    # Convert the regression to the network's input scaling.
    ratio = linear.scaling.scale / network.scaling.scale
    weight = linear_layer.weight * ratio
    shift = (network.scaling.mean - linear.scaling.mean) * linear.scaling.scale
    bias = linear_layer.bias + linear_layer.weight @ shift
    product = Projector(
        network.in_dim,
        (len(hidden.weight) + 2 * len(weight),),
        network.dim,
        "relu",
        settings["dropout"],
        network.output,
    )
    identity = torch.eye(len(weight)) / temperature
    product.scaling.load_state_dict(network.scaling.state_dict())
    first_layer, last_layer = (layer for layer in product.layers if isinstance(layer, nn.Linear))
    _set(first_layer, [hidden.weight, weight, -weight], [hidden.bias, bias, -bias])
    _set(last_layer, [torch.cat([last.weight, identity, -identity], 1) / 2], [last.bias / 2])
    return product.eval()


def _set(layer: nn.Linear, weights: list[Tensor], biases: list[Tensor]) -> None:
    layer.load_state_dict({"weight": torch.cat(weights), "bias": torch.cat(biases)})
