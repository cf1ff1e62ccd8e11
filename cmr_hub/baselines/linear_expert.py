"""A network's class posteriors and a linear classifier's, multiplied."""

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
    """Projectors whose posteriors are the geometric mean of the trained and the linear ones.

        p ∝ √(p_network · softmax((x' W + b) / T))

    W, b of a multinomial logistic regression (see `Classifier`), learnt from the pairs that the
    network learnt from. A product of experts (Hinton 1999): they go wrong in different places,
    the regression, which is convex, least where training pairs are few. The product is one
    projector of the same kind: a linear map is two rectified units, x = relu(x) − relu(−x).

    Args:
        images, texts: trained, one hidden layer of rectified units, posteriors.
        splits: what they were trained on.
        expert: the regressions' settings.

    Raises:
        TrainingError: projectors of another kind, or a class without training pairs.
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
            "a linear expert goes beside posteriors with one hidden layer of rectified units"
        )
    hidden, last = layers
    linear = classifier.projector()
    (only,) = (layer for layer in linear.layers if isinstance(layer, nn.Linear))
    if len(only.weight) != len(last.weight):
        raise TrainingError(
            f"the linear expert needs training pairs of all {len(last.weight)} classes; "
            f"there are some of {len(only.weight)}"
        )
    # The regression in the network's own scaling of the rows.
    ratio = linear.scaling.scale / network.scaling.scale
    weight = only.weight * ratio
    shift = (network.scaling.mean - linear.scaling.mean) * linear.scaling.scale
    bias = only.bias + only.weight @ shift
    whole = Projector(
        network.in_dim,
        (len(hidden.weight) + 2 * len(weight),),
        network.dim,
        "relu",
        settings["dropout"],
        network.output,
    )
    identity = torch.eye(len(weight)) / temperature
    whole.scaling.load_state_dict(network.scaling.state_dict())
    first_layer, last_layer = (layer for layer in whole.layers if isinstance(layer, nn.Linear))
    _set(first_layer, [hidden.weight, weight, -weight], [hidden.bias, bias, -bias])
    _set(last_layer, [torch.cat([last.weight, identity, -identity], 1) / 2], [last.bias / 2])
    return whole.eval()


def _set(layer: nn.Linear, weights: list[Tensor], biases: list[Tensor]) -> None:
    layer.load_state_dict({"weight": torch.cat(weights), "bias": torch.cat(biases)})
