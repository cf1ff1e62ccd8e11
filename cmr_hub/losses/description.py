"""Descriptions of objectives as plain dictionaries, for presets and records; without torch."""

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
    """Return the description of an objective for `build_objective`.

    Args:
        objective: the name, the class or an instance of a loss; or a mapping from names of terms
            to descriptions or losses.

    Raises:
        CMRError: `objective` is invalid.

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
        # Names of torch modules must not contain dots, but `module:class` may.
        return {term.rpartition(":")[2].rpartition(".")[2]: {"loss": objective}}
    spec = {}
    for name, part in objective.items():
        if not isinstance(name, str):
            raise CMRError(f"the names of an objective's terms must be strings, not {shown(name)}")
        spec[name] = dict(part) if isinstance(part, Mapping) else {"loss": part}
    return spec


def described(spec: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return a description in JSON values, with classes and instances replaced by their names.

    Public attributes of an instance that are plain values are added like options.
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
