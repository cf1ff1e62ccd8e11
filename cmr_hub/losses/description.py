"""Objectives as plain descriptions: what a preset holds and a record keeps. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cmr_hub.errors import CMRError, shown
from cmr_hub.losses import LossLike, loss_class, loss_name

if TYPE_CHECKING:
    from cmr_hub.losses.base import Loss


def objective_spec(
    objective: LossLike | Mapping[str, Mapping[str, Any] | Loss | type[Loss]],
) -> dict[str, dict[str, Any]]:
    """The plain description of an objective, as `build_objective` takes it.

    Args:
        objective: a loss by name, as a class or as an object; or several terms by name, each a
            description or a loss.

    Raises:
        CMRError: it is none of these.

    Example:
        >>> objective_spec("triplet")
        {'triplet': {}}
        >>> objective_spec({"infonce": {}, "triplet": {"weight": 0.5, "margin": 0.2}})
        {'infonce': {}, 'triplet': {'weight': 0.5, 'margin': 0.2}}
    """
    if not isinstance(objective, Mapping):
        loss_class(objective)
        if isinstance(objective, str):
            return {objective: {}}
        term = loss_name(objective)
        # A place, `module:class`, cannot name a module of torch.
        return {term.rpartition(":")[2].rpartition(".")[2]: {"loss": objective}}
    spec = {}
    for name, part in objective.items():
        if not isinstance(name, str):
            raise CMRError(f"the terms of an objective go by names, not by {shown(name)}")
        spec[name] = dict(part) if isinstance(part, Mapping) else {"loss": part}
    return spec


def described(spec: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """A description in plain JSON values: of losses that are classes or objects, their names.

    Of an object the public attributes that are plain values stand beside, as its options would.
    """
    plain = {}
    for term, description in spec.items():
        loss = description.get("loss", term)
        plain[term] = dict(description)
        if isinstance(loss, str):
            continue
        options: dict[str, Any] = {}
        if not isinstance(loss, type):
            options = {
                name: value
                for name, value in vars(loss).items()
                if not name.startswith("_")
                and name != "training"
                and isinstance(value, str | int | float | bool)
            }
        plain[term] |= {"loss": loss_name(loss), **options}
    return plain
