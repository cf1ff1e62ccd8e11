"""Presets: named training settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from cmr_hub.errors import TrainingError
from cmr_hub.losses import loss_class
from cmr_hub.losses.description import described

if TYPE_CHECKING:
    from cmr_hub.types import JSONObject


@dataclass(frozen=True)
class LinearExpert:
    """Settings of the logistic regressions that are combined with the projectors.

    Args:
        image_penalty, text_penalty: inverse regularisation strength C of the regressions.
        temperature: T by which their logits are divided.
    """

    image_penalty: float
    text_penalty: float
    temperature: float


_OFF = {
    "residual": False,
    "rows": "items",
    "cosine": False,
    "warmup": 0.0,
    "standardise": False,
    "views": 1,
    "seeds": 1,
    "class_names": 0.0,
}


@dataclass(frozen=True, kw_only=True)
class Preset:
    """All settings of a training run except the data and the seed.

    Args:
        name: name of the preset.
        objective: the terms of the objective by name: `{"triplet": {"weight": 1.0, ...}}`. The
            key `loss` is the name, the class or an instance of the loss; default: the name of
            the term.
        image_hidden, text_hidden: hidden widths of the projectors.
        dim: dimension d of the common space; None for posteriors, where it follows from the
            number of classes, and for residual projectors, where it is that of the features.
        activation, dropout, output, radius: see `Projector`; with output "posterior", images use
            slot 0 and texts slot 1.
        residual: use projectors that start as the identity and add to the features, which must
            already share a space; see `Projector`. The untrained identity is epoch 0, which is
            used if no epoch scores better on the validation pairs.
        learning_rate, betas, weight_decay: settings of AdamW.
        batch_size: number of pairs per step.
        epochs: maximum number of epochs; schedules, such as that of λ, run over all of them.
        shuffle: shuffle the pairs in each epoch; "once": use one random order for all epochs. The
            pairs of some datasets are sorted by class.
        drop_last: drop the last batch if it is not full.
        early_stopping: choose the number of epochs by validation. Otherwise train on all training
            pairs for `epochs`.
        patience: stop if the validation MAP has not improved for this number of epochs.
        validation_fraction: share of the training pairs, stratified by class, to choose the
            number of epochs on if the protocol has no validation split. The projectors are then
            trained again on all training pairs for that number of epochs.
        linear_expert: multiply the posteriors of the projectors by the posteriors of logistic
            regressions; see `with_linear_experts`.
        rows: definition of a pair: "items", a picture with all its captions; "sentences", a
            picture with one caption, plus a picture with all captions if the item has a label.
            Data without labels always uses sentences.
        cosine: decay the learning rate to zero along a cosine over `epochs`.
        warmup: number of epochs of linear warm-up of the learning rate.
        standardise: divide each dimension of the features by its standard deviation; see
            `InputScaling`.
        views: number of views of each picture, of which each step uses a random one: unmodified,
            mirrored, and from the third on random crops; see `PictureView`.
        seeds: number of projector pairs to train with different seeds. They are combined so that
            the cosine is the mean of their cosines; see `beside`.
        text_dropout: `dropout` of the text projector, if different.
        label_weights: weight of the labels by the name of the dataset. Default: 1. Only with
            rows="sentences".
        class_names: share of the class names of the image encoder in the cosine, which needs no
            training; see `with_class_names`. 0 for none. Ignored for image encoders without class
            names and for text encoders that are not pretrained.
        supervised: refuse data without labels even if the losses do not need them, because the
            method that the preset reproduces does.

    Raises:
        TrainingError: settings contradict each other.
    """

    name: str
    objective: Mapping[str, Mapping[str, Any]]
    image_hidden: tuple[int, ...]
    text_hidden: tuple[int, ...]
    dim: int | None
    activation: str = "relu"
    dropout: tuple[float, float] = (0.0, 0.0)
    output: Literal["linear", "sphere", "softmax", "tanh", "posterior"] = "linear"
    radius: float = 1.0
    residual: bool = False
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    batch_size: int = 64
    epochs: int = 100
    shuffle: bool | Literal["once"] = True
    drop_last: bool = False
    early_stopping: bool = True
    patience: int = 15
    validation_fraction: float = 0.15
    linear_expert: LinearExpert | None = None
    rows: Literal["items", "sentences"] = "items"
    cosine: bool = False
    warmup: float = 0.0
    standardise: bool = False
    views: int = 1
    seeds: int = 1
    text_dropout: tuple[float, float] | None = None
    label_weights: Mapping[str, float] | None = None
    class_names: float = 0.0
    supervised: bool = False

    def __post_init__(self) -> None:
        if min(self.views, self.seeds) < 1 or not 0 <= self.warmup <= self.epochs:
            raise TrainingError(
                f"{self.name} needs at least one view and one seed, and a warm-up within its "
                f"epochs, not views={self.views}, seeds={self.seeds}, warmup={self.warmup}"
            )
        if self.class_names and (self.output != "sphere" or not 0 < self.class_names < 1):
            raise TrainingError(
                f"{self.name} cannot use class_names={self.class_names}: class names need the "
                "output 'sphere' and a share in (0, 1)"
            )
        if self.seeds > 1 and (self.output != "sphere" or self.residual):
            raise TrainingError(
                f"{self.name} cannot combine {self.seeds} seeds: that needs the output 'sphere' "
                "without residual projectors"
            )
        if self.standardise and self.residual:
            raise TrainingError(f"{self.name} is residual, so it cannot standardise its features")

    def as_dict(self) -> JSONObject:
        """Return JSON values for records and checkpoints."""
        plain = replace(self, objective=described(self.objective))
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(plain).items()
            # Unused settings are left out, so that older records and keys remain valid.
            if (value is not None or key == "dim")
            and key != "supervised"  # does not affect the result
            and (key, value) not in _OFF.items()
        }

    def needs_labels(self) -> list[str]:
        """Return the terms that need a label for every pair, or the preset's name."""
        if self.supervised:
            return [self.name]
        return [
            term
            for term, description in self.objective.items()
            if not loss_class(description.get("loss", term)).takes_unlabelled
        ]

    @property
    def takes_several_labels(self) -> bool:
        """Whether items may have several labels."""
        return self.linear_expert is None

    def common_dim(self, image_dim: int, text_dim: int, n_classes: int) -> int:
        """Return the dimension d of the common space for features of these dimensions.

        Raises:
            TrainingError: the preset is residual and the features cannot share a space.
        """
        if not self.residual:
            return n_classes + 2 if self.dim is None else self.dim
        if image_dim != text_dim:
            raise TrainingError(
                f"{self.name} adds to features that already share a space. It needs the image and "
                "the text encoder of one dual encoder (CLIP, SigLIP); these features have "
                f"{image_dim} and {text_dim} dimensions"
            )
        if self.dim not in (None, image_dim):
            raise TrainingError(
                f"the common space of {self.name} is the space of the features, with {image_dim} "
                f"dimensions: leave out dim = {self.dim}"
            )
        return image_dim


# The same network for every objective except ACMR's, so that only objectives are compared. Widths,
# dropout, learning rates and settings that differ from the authors' were chosen by cross-validation
# within the training pairs of Pascal Sentence 800/200.
_NETWORK: dict[str, Any] = {
    "image_hidden": (512,),
    "text_hidden": (512,),
    "dim": 200,
    "dropout": (0.2, 0.5),
    "output": "sphere",
    "radius": 5.0,
    "learning_rate": 3e-4,
    "epochs": 40,
    "patience": 10,
}


def _ours(name: str, objective: Mapping[str, Mapping[str, Any]], **changes: Any) -> Preset:
    return Preset(name=name, objective=objective, **(_NETWORK | changes))


def _third(name: str, weight: float) -> dict[str, dict[str, Any]]:
    """Return the objective of the 2019 study with this third loss."""
    return {"label": {"weight": 0.5}, "triplet": {"weight": 1.0}, name: {"weight": weight}}


_PRESETS = (
    # Wang et al. 2017, "Adversarial Cross-Modal Retrieval": tanh, 200 dimensions, batches of 64
    # and the three losses follow the paper. The paper does not state weights and dropout; ours,
    # like the hinge over both distances of the triplet, are our choice. Its weight penalty is
    # left out.
    _ours("acmr-paper", _third("adversarial", 0.1), activation="tanh", supervised=True),
    # As in the released code (see `ACMRReleasedLoss`): 50 epochs over pairs in one order. The
    # order is random, because the data of the release are not sorted by class, but Pascal
    # Sentence is.
    Preset(
        name="acmr-released",
        objective={"acmr-released": {}},
        image_hidden=(512, 100),
        text_hidden=(40, 100),
        dim=40,
        activation="tanh",
        output="tanh",
        learning_rate=1e-4,
        betas=(0.5, 0.999),
        epochs=50,
        shuffle="once",
        drop_last=True,
        early_stopping=False,
    ),
    # The other third losses of the 2019 study.
    _ours("mmd", _third("mmd", 0.1)),
    _ours("coral", _third("coral", 100.0)),
    _ours("correlation", _third("correlation", 0.1)),
    # Objectives of other papers on the same network, at the output scale of their equations.
    _ours("dscmr", {"dscmr": {}}, output="linear"),
    _ours("mrl", {"mrl": {"beta": 0.95, "temperature": 0.3}}, radius=1.0),
    _ours("fume", {"fume": {"alpha": 1.0}}, radius=1.0),
    _ours("sdml", {"sdml": {}}, output="linear"),
    _ours("cmpm", {"cmpm": {}}, output="linear"),
    _ours("supcon", {"supcon": {"temperature": 0.2}}),
    _ours("infonce", {"infonce": {"temperature": 0.2}}),
    _ours("normsoftmax", {"normsoftmax": {"scale": 5.0}}),
    _ours("cosface", {"cosface": {"scale": 10.0, "margin": 0.1}}),
    _ours("proxy-anchor", {"proxy-anchor": {"alpha": 4.0}}),
    _ours("dcca", {"dcca-ey": {}}, output="linear", dim=32),
    # Our own method: class posteriors of each modality, combined from a network and a linear
    # classifier, and ranked by the probability of the same class.
    _ours(
        "cmr-best",
        {"posterior": {}},
        dim=None,
        output="posterior",
        dropout=(0.5, 0.5),
        weight_decay=0.01,
        linear_expert=LinearExpert(image_penalty=0.01, text_penalty=0.03, temperature=0.35),
    ),
    # For dual encoders, whose features share a space. With classes, items of the same class and
    # the paired item are positives; without classes, both terms are InfoNCE. Settings were chosen
    # within the training pairs of Pascal Sentence 800/200, on features mapped into one space by
    # CCA and InfoNCE on Flickr8k.
    Preset(
        name="adapter",
        objective={
            "supcon": {"temperature": 0.1},
            "infonce": {"weight": 0.5, "temperature": 0.1},
        },
        image_hidden=(256,),
        text_hidden=(256,),
        dim=None,
        residual=True,
        dropout=(0.0, 0.5),
        learning_rate=5e-4,
        weight_decay=0.1,
        batch_size=128,
        epochs=100,
        patience=10,
    ),
)

CAPTIONS = Preset(
    name="captions",
    objective={
        "infonce": {"temperature": 0.07, "learn_temperature": True, "mask_same_item": True},
        "label": {"weight": 2.0, "of_batch": True},
    },
    image_hidden=(2048,),
    text_hidden=(1024,),
    dim=512,
    dropout=(0.3, 0.5),
    text_dropout=(0.1, 0.2),
    output="sphere",
    radius=5.0,
    learning_rate=1e-3,
    weight_decay=0.1,
    batch_size=500,
    epochs=16,
    early_stopping=False,
    validation_fraction=0.1,
    rows="sentences",
    label_weights={"sketches": 5.0, "pascal-sentence": 1.5},
    cosine=True,
    warmup=1.0,
    standardise=True,
    views=2,
    class_names=0.25,
)
"""InfoNCE between sentences and pictures, plus a shared classifier for pairs with labels. Use it
for data without labels and for several datasets at once.

Settings were chosen on 1,000 training pictures of Flickr8k, 200 of Pascal Sentence and 500
sketches, none from a test or validation split. Labels of sketches have a higher weight, because
drawings differ in little else than their class."""

PRESETS = {preset.name: preset for preset in (*_PRESETS, CAPTIONS)}
