"""Named ways to train, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cmr_hub.models.projector import Output
    from cmr_hub.types import JSONObject


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Everything that decides a training run but the data and the seed.

    Args:
        name: what results call it.
        objective: the terms of the objective by name: `{"triplet": {"weight": 1.0, ...}}`; the
            key `loss` names the loss where the term's own name does not.
        image_hidden, text_hidden: hidden widths of the projectors.
        dim: dimension d of the common space.
        activation, dropout, output, radius: see `Projector`.
        learning_rate, betas, weight_decay: of AdamW.
        batch_size: pairs in a step.
        epochs: at most so many; λ and every other schedule runs over all of them.
        patience: stop when the validation MAP has not risen for so many epochs.
        validation_fraction: the share of the training pairs, stratified by class, that chooses
            the number of epochs where the protocol has no validation split of its own. The
            projectors are then trained again on all training pairs for that many epochs.
    """

    name: str
    objective: Mapping[str, Mapping[str, Any]]
    image_hidden: tuple[int, ...]
    text_hidden: tuple[int, ...]
    dim: int
    activation: str = "relu"
    dropout: tuple[float, float] = (0.0, 0.0)
    output: Output = "linear"
    radius: float = 1.0
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    batch_size: int = 64
    epochs: int = 100
    patience: int = 15
    validation_fraction: float = 0.15

    def as_dict(self) -> JSONObject:
        """Plain JSON values, for records and checkpoints."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }


_PRESETS = (
    # Wang et al. 2017, "Adversarial Cross-Modal Retrieval": the projectors' widths, activation
    # and batch size are the paper's, the losses as its equations have them. The paper does not
    # print its weights; these, the dropout and the radius were chosen by cross-validation inside
    # the training pairs of Pascal Sentence.
    Preset(
        name="acmr-paper",
        objective={
            "label": {"weight": 0.5},
            "triplet": {"weight": 1.0},
            "adversarial": {"weight": 0.1},
        },
        image_hidden=(512,),
        text_hidden=(512,),
        dim=200,
        activation="tanh",
        dropout=(0.2, 0.5),
        output="sphere",
        radius=5.0,
        learning_rate=3e-4,
        epochs=40,
        patience=10,
    ),
)

PRESETS = {preset.name: preset for preset in _PRESETS}

