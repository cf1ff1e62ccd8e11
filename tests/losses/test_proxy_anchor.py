from __future__ import annotations

import math
from typing import Any

import torch
from scipy.spatial.distance import cosine

from cmr_hub.losses.proxy_anchor import ProxyAnchorLoss


def plain(loss: ProxyAnchorLoss, batch: Any) -> float:
    proxies = loss.proxies.detach().numpy()
    v, w, y = batch.arrays()
    rows = [*zip(v, y, strict=True), *zip(w, y, strict=False)]
    present, pull, push = set(y), 0.0, 0.0
    for k, p in enumerate(proxies):
        own = [1 - cosine(x, p) for x, label in rows if label == k]
        others = [1 - cosine(x, p) for x, label in rows if label != k]
        pull += math.log(1 + sum(math.exp(-loss.alpha * (s - loss.delta)) for s in own))
        push += math.log(1 + sum(math.exp(loss.alpha * (s + loss.delta)) for s in others))
    return pull / len(present) + push / len(proxies)


def test_equals_a_plain_loop(batch: Any) -> None:
    loss = ProxyAnchorLoss(6, 4).double()
    assert math.isclose(loss(*batch).item(), plain(loss, batch), rel_tol=1e-10)


def test_classes_out_of_the_batch_are_only_pushed(batch: Any) -> None:
    loss = ProxyAnchorLoss(6, 7, alpha=4.0, delta=0.3).double()
    some = batch._replace(labels=torch.tensor([0, 5] * 6))
    assert math.isclose(loss(*some).item(), plain(loss, some), rel_tol=1e-10)


def test_large_alpha_does_not_overflow(batch: Any) -> None:
    assert torch.isfinite(ProxyAnchorLoss(6, 4, alpha=1e4).double()(*batch))


def test_proxies_start_as_the_authors_code_has_them() -> None:
    torch.manual_seed(0)
    proxies = ProxyAnchorLoss(16, 800).proxies
    assert math.isclose(proxies.std().item(), math.sqrt(2 / 800), rel_tol=0.03)
