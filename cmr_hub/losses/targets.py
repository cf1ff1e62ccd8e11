"""Labels of a batch as masks and targets, whether items have one class each or several."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def has_label(labels: Tensor) -> Tensor:
    """Return a (B,) mask of the rows with a label, for any labels that `Loss` takes."""
    return labels >= 0 if labels.ndim == 1 else labels.any(1)


def same_class(labels: Tensor) -> Tensor:
    """Return a (B, B) mask of rows that share a class; rows without a label match themselves."""
    own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    if labels.ndim == 2:
        return (labels @ labels.T > 0) | own
    return ((labels[:, None] == labels) & (labels >= 0)) | own


def multi_hot(labels: Tensor, n_classes: int) -> Tensor:
    """Return (B, n_classes) rows with a 1 at every class of an item."""
    return one_hot(labels, n_classes) if labels.ndim == 1 else labels


def soft_targets(labels: Tensor, like: Tensor) -> Tensor:
    """Return the target of a cross-entropy: class indices, or rows with equal parts per class.

    Rows have the dtype of `like` and sum to 1. A row without a class is zero, and so is its
    cross-entropy.
    """
    if labels.ndim == 1:
        return labels
    rows = labels.to(like.dtype)
    return rows / rows.sum(1, keepdim=True).clamp_min(1)
