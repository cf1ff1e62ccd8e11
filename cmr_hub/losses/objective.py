"""An objective: named, weighted losses added up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from cmr_hub.errors import CMRError, shown
from cmr_hub.losses import build_loss
from cmr_hub.losses.base import Loss


@dataclass(frozen=True)
class Term:
    """One loss of an objective and its weight."""

    loss: Loss
    weight: float = 1.0


class Objective(nn.Module):
    """Σ weight · loss over a dict of named terms.

    Raises CMRError for no terms, a weight that is not a finite number ≥ 0, or a term name that
    cannot name a module.
    """

    def __init__(self, terms: Mapping[str, Term]) -> None:
        super().__init__()
        if not terms:
            raise CMRError("an objective needs at least one term, for example 'label'")
        self.terms = dict(terms)
        self.losses = nn.ModuleDict()
        for name, term in self.terms.items():
            _check_weight(name, term.weight)
            if "/" in name:
                raise CMRError(f"a term cannot be called {shown(name)}: use letters and hyphens")
            try:
                self.losses[name] = term.loss
            except KeyError as error:
                raise CMRError(
                    f"a term cannot be called {shown(name)}: use letters and hyphens"
                ) from error

    def forward(
        self, images: Tensor, texts: Tensor, labels: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and its parts for the history.

        Inputs as `Loss`: (B, d), (B, d), (B,). The parts, detached, are each term's value before
        its weight under the term's name, and each of its logs under "term/log". Raises CMRError
        when the shapes do not fit or the batch is empty.
        """
        if images.shape != texts.shape or images.shape[:1] != labels.shape or not len(labels):
            raise CMRError(
                "a batch needs images (B, d), texts (B, d) and labels (B,) with B ≥ 1, not "
                f"{tuple(images.shape)}, {tuple(texts.shape)}, {tuple(labels.shape)}"
            )
        total = images.new_zeros(())
        parts: dict[str, Tensor] = {}
        for name, term in self.terms.items():
            value = term.loss(images, texts, labels)
            total = total + term.weight * value
            parts[name] = value.detach()
            parts.update({f"{name}/{log}": figure for log, figure in term.loss.logs.items()})
        return total, parts

    def log_lines(self, parts: Mapping[str, float], epoch: int, seconds: float) -> list[str]:
        """What the terms have to print after an epoch.

        Args:
            parts: by name, as `forward` gives them, their means over the epoch.
            epoch: its number, from 1.
            seconds: since training began.
        """
        return [
            term.loss.log_line.format(
                epoch=epoch,
                time=seconds,
                **{log: parts[f"{name}/{log}"] for log in term.loss.logs},
            )
            for name, term in self.terms.items()
            if term.loss.log_line
        ]

    def schedule(self, progress: float) -> None:
        """Tells every term the share of training done, in [0, 1]."""
        for term in self.terms.values():
            term.loss.schedule(progress)

    def observe(self, image_features: Tensor, text_features: Tensor) -> None:
        """Shows every term the input features of the batch that `forward` gets next."""
        for term in self.terms.values():
            term.loss.observe(image_features, text_features)

    def observe_items(self, items: Tensor) -> None:
        """Tells every term which item each pair is of, in the batch that `forward` gets next."""
        for term in self.terms.values():
            term.loss.observe_items(items)

    def observe_label_weights(self, weights: Tensor) -> None:
        """Tells every term how much each label counts, in the batch that `forward` gets next."""
        for term in self.terms.values():
            term.loss.observe_label_weights(weights)

    @property
    def needs_labels(self) -> list[str]:
        """The terms that every pair must have a label for."""
        return [name for name, term in self.terms.items() if not term.loss.takes_unlabelled]

    @property
    def classifier(self) -> nn.Linear | None:
        """The label classifier of the first term that has one."""
        for term in self.terms.values():
            classifier = getattr(term.loss, "classifier", None)
            if isinstance(classifier, nn.Linear):
                return classifier
        return None


def build_objective(spec: Mapping[str, Mapping[str, Any]], dim: int, n_classes: int) -> Objective:
    """The objective of a description, as a preset or a TOML file holds it.

    Args:
        spec: by term name "weight" (1 if absent), "loss" (the term's name if absent; a name, a
            class or an object) and the options of the loss:
            {"label": {}, "hard": {"loss": "triplet", "margin": 0.3}}.
        dim: dimensions of the common space.
        n_classes: number of classes.

    Raises UnknownNameError for an unknown loss, CMRError for an unknown option or a bad value.
    """
    terms = {}
    for term, description in spec.items():
        options = dict(description)
        loss, weight = options.pop("loss", term), options.pop("weight", 1.0)
        _check_weight(term, weight)
        if sizes := options.keys() & {"dim", "n_classes"}:
            raise CMRError(f"loss {term!r} has no option {min(sizes)!r}: it is filled in")
        terms[term] = Term(build_loss(loss, dim, n_classes, **options), weight)
    return Objective(terms)


def _check_weight(term: str, weight: float) -> None:
    is_number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
    if not (is_number and math.isfinite(weight) and weight >= 0):
        raise CMRError(
            f"the weight of {shown(term)} must be a number, 0 or more, not {shown(weight)}"
        )
