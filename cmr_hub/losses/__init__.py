"""Losses by class and by name; torch is imported only when one is used.

Example:
    >>> from cmr_hub import losses
    >>> losses.TripletLoss(margin=0.2).margin
    0.2
    >>> losses.build_loss("triplet", dim=200, n_classes=20, margin=0.2).margin
    0.2
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from cmr_hub.errors import CMRError, shown
from cmr_hub.lazy_names import lazy_names
from cmr_hub.registry import Registry

if TYPE_CHECKING:
    from cmr_hub.losses.acmr_released import ACMRReleasedLoss
    from cmr_hub.losses.adversarial import AdversarialLoss
    from cmr_hub.losses.base import Loss
    from cmr_hub.losses.cmpm import CMPMLoss
    from cmr_hub.losses.coral import DeepCoralLoss
    from cmr_hub.losses.correlation import PearsonLoss
    from cmr_hub.losses.cosface import CosFaceLoss
    from cmr_hub.losses.dcca import DCCALoss
    from cmr_hub.losses.dcca_ey import DCCAEYLoss
    from cmr_hub.losses.dscmr import DSCMRLoss
    from cmr_hub.losses.fume import FUMELoss
    from cmr_hub.losses.infonce import InfoNCELoss
    from cmr_hub.losses.label import LabelLoss
    from cmr_hub.losses.mmd import MMDLoss
    from cmr_hub.losses.mrl import MRLLoss
    from cmr_hub.losses.normsoftmax import NormSoftmaxLoss
    from cmr_hub.losses.objective import Objective, Term
    from cmr_hub.losses.posterior import PosteriorLoss
    from cmr_hub.losses.proxy_anchor import ProxyAnchorLoss
    from cmr_hub.losses.sdml import SDMLLoss
    from cmr_hub.losses.supcon import SupConLoss
    from cmr_hub.losses.triplet import TripletLoss

__all__ = [
    "LOSSES",
    "ACMRReleasedLoss",
    "AdversarialLoss",
    "CMPMLoss",
    "CosFaceLoss",
    "DCCAEYLoss",
    "DCCALoss",
    "DSCMRLoss",
    "DeepCoralLoss",
    "FUMELoss",
    "InfoNCELoss",
    "LabelLoss",
    "Loss",
    "MMDLoss",
    "MRLLoss",
    "NormSoftmaxLoss",
    "Objective",
    "PearsonLoss",
    "PosteriorLoss",
    "ProxyAnchorLoss",
    "SDMLLoss",
    "SupConLoss",
    "Term",
    "TripletLoss",
    "build_loss",
    "loss_class",
    "loss_name",
    "loss_options",
    "register",
]

_PLACES = {
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
}
LOSSES = Registry("loss", "cmr_hub.losses", _PLACES, base="cmr_hub.losses.base:Loss")
"""Losses by name, in alphabetical order; see `register` to add one."""

T = TypeVar("T")
LossLike: TypeAlias = "str | Loss | type[Loss]"
"""The name, the class or an instance of a loss."""

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {place.partition(":")[2]: place for place in _PLACES.values()}
        | {
            "Loss": "cmr_hub.losses.base:Loss",
            "Objective": "cmr_hub.losses.objective:Objective",
            "Term": "cmr_hub.losses.objective:Term",
        },
    )


def register(name: str) -> Callable[[T], T]:
    """Return a decorator that registers a subclass of `Loss` under a name, in this process.

    To register a loss for every process, declare an entry point of the group `cmr_hub.losses` in
    an installed package.

    Raises:
        CMRError: the name is taken, or the class is not a subclass of `Loss`.

    Example:
        >>> @register("my-loss")                                            # doctest: +SKIP
        ... class MyLoss(Loss): ...
        >>> cmr_hub.train("flickr8k", objective="my-loss")                  # doctest: +SKIP
    """
    return LOSSES.register(name)


def loss_class(loss: LossLike) -> type[Loss]:
    """Return the class of a loss.

    Raises:
        UnknownNameError: no loss has this name.
        CMRError: the class or object is not a `Loss`.
    """
    if isinstance(loss, str):
        named: type[Loss] = LOSSES[loss]
        return named
    kind = loss if isinstance(loss, type) else type(loss)
    if not LOSSES.accepts(kind):
        raise CMRError(
            "a loss must be a name, a subclass of cmr_hub.losses.Loss or an instance of one, not "
            f"{shown(loss)}"
        )
    return kind


def loss_name(loss: LossLike) -> str:
    """Return the name under which a loss is registered, or `module:class`."""
    if isinstance(loss, str):
        return loss
    kind = loss_class(loss)
    place = f"{kind.__module__}:{kind.__qualname__}"
    builtin = {place: name for name, place in _PLACES.items()}
    return builtin.get(place) or LOSSES.name_of(kind) or place


def loss_options(loss: LossLike) -> dict[str, Any]:
    """Return the options of a loss with their defaults, without `dim` and `n_classes`."""
    return {
        parameter.name: parameter.default
        for parameter in inspect.signature(loss_class(loss)).parameters.values()
        if parameter.name not in ("dim", "n_classes")
    }


def build_loss(loss: LossLike, /, dim: int, n_classes: int, **options: Any) -> Loss:
    """Build a loss for a common space of `dim` dimensions and `n_classes` classes.

    Args:
        loss: a name, a class, or an instance, which is copied so that training does not change it.
        dim: dimension d of the common space.
        n_classes: number of classes.
        options: options of the loss; not allowed for an instance.

    Raises:
        UnknownNameError: no loss has this name.
        CMRError: an option is unknown or has an invalid value, or `loss` is not a loss.
    """
    kind = loss_class(loss)
    if not isinstance(loss, str | type):
        if options:
            raise CMRError(
                f"{kind.__name__} is already an instance: pass {', '.join(options)} to its "
                "constructor"
            )
        return copy.deepcopy(loss)
    name = loss if isinstance(loss, str) else kind.__name__
    allowed = loss_options(loss)
    for option in options:
        if option not in allowed:
            known = ", ".join(allowed) if allowed else "none"
            raise CMRError(f"loss {name!r} has no option {shown(option)}; its options: {known}")
    parameters = inspect.signature(kind).parameters
    sizes = {"dim": dim, "n_classes": n_classes}
    try:
        return kind(**{size: sizes[size] for size in sizes if size in parameters}, **options)
    except (TypeError, ValueError) as error:
        raise CMRError(f"loss {name!r} cannot be built with {shown(options)}: {error}") from error
