"""Objectives: weighted sums of named losses."""

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
    """The weighted sum Σ weight · loss over named terms.

    Raises CMRError if there are no terms, a weight is not a finite number ≥ 0, or the name of a
    term cannot be the name of a torch module.
    """

    def __init__(self, terms: Mapping[str, Term]) -> None:
        super().__init__()
        if not terms:
            raise CMRError("an objective needs at least one term, for example 'label'")
        self.terms = dict(terms)
        self.losses = nn.ModuleDict()
        for name, term in self.terms.items():
            weight = term.weight
            is_number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
            if not (is_number and math.isfinite(weight) and weight >= 0):
                raise CMRError(
                    f"the weight of {shown(name)} must be a number, 0 or more, not {shown(weight)}"
                )
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
        """Return the weighted sum, and its parts for the history.

        The inputs are those of `Loss`: (B, d), (B, d) and (B,) or (B, classes). The detached parts
        are the unweighted value of each term under its name, and each of its logs under "term/log".
        Raises CMRError if shapes do not match or the batch is empty.
        """
        if images.shape != texts.shape or images.shape[:1] != labels.shape[:1] or not len(labels):
            raise CMRError(
                "a batch needs images (B, d), texts (B, d) and labels (B,) or (B, classes) with "
                f"B ≥ 1, not {tuple(images.shape)}, {tuple(texts.shape)}, {tuple(labels.shape)}"
            )
        total = images.new_zeros(())
        parts: dict[str, Tensor] = {}
        for name, term in self.terms.items():
            value = term.loss(images, texts, labels)
            total = total + term.weight * value
            parts[name] = value.detach()
            parts.update({f"{name}/{log}": figure for log, figure in term.loss.logs.items()})
        return total, parts

    def log_lines(
        self, parts: Mapping[str, Tensor], place: tuple[int, int, int], seconds: float
    ) -> list[str]:
        """Return the lines that terms print after a step.

        Args:
            parts: parts returned by `forward`.
            place: epoch, from 1; step in the epoch, from 0; number of steps per epoch.
            seconds: seconds since training began.
        """
        epoch, step, steps = place
        return [
            term.loss.log_line.format(
                epoch=epoch,
                step=step,
                steps=steps,
                time=seconds,
                **{log: float(parts[f"{name}/{log}"]) for log in term.loss.logs},
            )
            for name, term in self.terms.items()
            if term.loss.log_line
        ]

    def schedule(self, progress: float) -> None:
        """Pass the share of training done, in [0, 1], to every term."""
        for term in self.terms.values():
            term.loss.schedule(progress)

    def observe(self, image_features: Tensor, text_features: Tensor) -> None:
        """Pass the input features of the next batch to every term."""
        for term in self.terms.values():
            term.loss.observe(image_features, text_features)

    def observe_items(self, items: Tensor) -> None:
        """Pass the item of each pair of the next batch to every term."""
        for term in self.terms.values():
            term.loss.observe_items(items)

    def observe_label_weights(self, weights: Tensor) -> None:
        """Pass the weight of each label of the next batch to every term."""
        for term in self.terms.values():
            term.loss.observe_label_weights(weights)

    @property
    def needs_labels(self) -> list[str]:
        """Names of the terms that need a label for every pair."""
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
    """Build an objective from the description in a preset or a TOML file.

    Args:
        spec: for each term name, "weight" (default 1), "loss" (a name, a class or an instance;
            default: the name of the term) and the options of the loss:
            {"label": {}, "hard": {"loss": "triplet", "margin": 0.3}}.
        dim: dimensions of the common space.
        n_classes: number of classes.

    Raises UnknownNameError for an unknown loss, CMRError for an unknown option or invalid value.
    """
    terms = {}
    for term, description in spec.items():
        options = dict(description)
        loss, weight = options.pop("loss", term), options.pop("weight", 1.0)
        if sizes := options.keys() & {"dim", "n_classes"}:
            raise CMRError(f"loss {term!r} has no option {min(sizes)!r}: it is set automatically")
        terms[term] = Term(build_loss(loss, dim, n_classes, **options), weight)
    return Objective(terms)
