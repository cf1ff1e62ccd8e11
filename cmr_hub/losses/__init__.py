"""Losses by name. Nothing heavy is imported before a loss is built."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from cmr_hub.errors import CMRError
from cmr_hub.registry import Registry

if TYPE_CHECKING:
    from cmr_hub.losses.base import Loss

LOSSES = Registry(
    "loss",
    "cmr_hub.losses",
    {
        "acmr-released": "cmr_hub.losses.acmr_released:ACMRReleasedLoss",
        "adversarial": "cmr_hub.losses.adversarial:AdversarialLoss",
        "cmpm": "cmr_hub.losses.cmpm:CMPMLoss",
        "coral": "cmr_hub.losses.coral:DeepCoralLoss",
        "correlation": "cmr_hub.losses.correlation:PearsonLoss",
        "cosface": "cmr_hub.losses.cosface:CosFaceLoss",
        "dcca": "cmr_hub.losses.dcca:DCCALoss",
        "dcca-ey": "cmr_hub.losses.dcca_ey:DCCAEYLoss",
        "dscmr": "cmr_hub.losses.dscmr:DSCMRLoss",
        "fume": "cmr_hub.losses.fume:FUMELoss",
        "infonce": "cmr_hub.losses.infonce:InfoNCELoss",
        "label": "cmr_hub.losses.label:LabelLoss",
        "mmd": "cmr_hub.losses.mmd:MMDLoss",
        "mrl": "cmr_hub.losses.mrl:MRLLoss",
        "normsoftmax": "cmr_hub.losses.normsoftmax:NormSoftmaxLoss",
        "posterior": "cmr_hub.losses.posterior:PosteriorLoss",
        "proxy-anchor": "cmr_hub.losses.proxy_anchor:ProxyAnchorLoss",
        "sdml": "cmr_hub.losses.sdml:SDMLLoss",
        "supcon": "cmr_hub.losses.supcon:SupConLoss",
        "triplet": "cmr_hub.losses.triplet:TripletLoss",
    },
)
"""Name to "module:class", in the order of the alphabet."""


def loss_class(name: str) -> type[Loss]:
    """The class behind a name of `LOSSES`. Raises UnknownNameError."""
    found: type[Loss] = LOSSES[name]
    return found


def loss_options(name: str) -> dict[str, Any]:
    """The options of a loss with their defaults; `dim` and `n_classes` are not options."""
    return {
        parameter.name: parameter.default
        for parameter in inspect.signature(loss_class(name)).parameters.values()
        if parameter.name not in ("dim", "n_classes")
    }


def build_loss(name: str, dim: int, n_classes: int, /, **options: Any) -> Loss:
    """The loss of this name for a common space of `dim` dimensions and `n_classes` classes.

    Raises UnknownNameError for an unknown loss, CMRError for an unknown option or a bad value.
    """
    allowed = loss_options(name)
    for option in options:
        if option not in allowed:
            known = ", ".join(allowed) if allowed else "none"
            raise CMRError(f"loss {name!r} has no option {option!r}; its options: {known}")
    wanted = inspect.signature(loss_class(name)).parameters
    sizes = {"dim": dim, "n_classes": n_classes}
    sizes = {size: value for size, value in sizes.items() if size in wanted}
    try:
        return loss_class(name)(**sizes, **options)
    except (TypeError, ValueError) as error:
        raise CMRError(f"loss {name!r} cannot be built with {options}: {error}") from error
