from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor

from cmr_hub.errors import CMRError, UnknownNameError
from cmr_hub.losses.base import Loss
from cmr_hub.losses.objective import Objective, Term, build_objective

SPEC = {
    "label": {"weight": 0.5},
    "hard": {"loss": "triplet", "weight": 2, "margin": 0.4, "mining": "batch-hard"},
    "adversarial": {"hidden": [3]},
}


def test_total_is_the_weighted_sum_and_parts_are_named(batch: Any) -> None:
    objective = build_objective(SPEC, 6, 4).double()
    total, parts = objective(*batch)
    assert list(parts) == [
        "label",
        "hard",
        "adversarial",
        "adversarial/modality_accuracy",
        "adversarial/lambda",
    ]
    torch.testing.assert_close(
        total, 0.5 * parts["label"] + 2 * parts["hard"] + parts["adversarial"]
    )
    for name, term in objective.terms.items():
        assert parts[name] == term.loss(*batch)
    assert total.requires_grad
    assert not any(part.requires_grad for part in parts.values())


def test_parameters_of_all_terms_are_found_and_restored(batch: Any) -> None:
    objective = build_objective(SPEC, 6, 4)
    assert len(list(objective.parameters())) == 2 + 4
    twin = build_objective(SPEC, 6, 4)
    twin.load_state_dict(objective.state_dict())
    rows = batch.images.float(), batch.texts.float(), batch.labels
    assert torch.equal(objective(*rows)[0], twin(*rows)[0])


def test_built_of_a_plain_description() -> None:
    terms = build_objective(json.loads(json.dumps(SPEC)), 6, 4).terms
    assert [term.weight for term in terms.values()] == [0.5, 2, 1.0]
    assert [type(term.loss).__name__ for term in terms.values()] == [
        *("LabelLoss", "TripletLoss", "AdversarialLoss"),
    ]
    assert (terms["hard"].loss.margin, terms["hard"].loss.mining) == (0.4, "batch-hard")


def test_schedule_and_observe_reach_every_term() -> None:
    class Listener(Loss):
        heard: tuple[Any, ...] = ()

        def forward(self, images: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
            return images.sum()

        def schedule(self, progress: float) -> None:
            self.heard += (progress,)

        def observe(self, image_features: Tensor, text_features: Tensor) -> None:
            self.heard += (image_features, text_features)

    listeners = [Listener(), Listener()]
    objective = Objective({str(i): Term(one) for i, one in enumerate(listeners)})
    features = torch.ones(2), torch.zeros(2)
    objective.schedule(0.25)
    objective.observe(*features)
    for listener in listeners:
        assert listener.heard == (0.25, *features)


@pytest.mark.parametrize(
    ("spec", "owner"),
    [
        ({"triplet": {}, "dscmr": {}, "label": {}}, "dscmr"),
        ({"mmd": {}, "label": {}}, "label"),
        ({"acmr-released": {}}, "acmr-released"),
    ],
)
def test_classifier_is_the_first_terms(spec: dict[str, Any], owner: str) -> None:
    objective = build_objective(spec, 6, 4)
    assert objective.classifier is objective.terms[owner].loss.classifier


def test_no_classifier_where_no_term_has_one() -> None:
    assert build_objective({"triplet": {}, "adversarial": {}}, 6, 4).classifier is None


def test_weight_zero_only_watches(batch: Any) -> None:
    objective = build_objective({"mmd": {"weight": 0}, "triplet": {}}, 6, 4)
    total, parts = objective(*batch)
    assert parts["mmd"] != 0
    assert total == parts["triplet"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "^an objective needs at least one term"),
        ({"label": {"weight": -1}}, "weight of 'label'"),
        ({"label": {"weight": "1"}}, "weight of 'label'"),
        ({"label": {"weight": float("nan")}}, "weight of 'label'"),
        ({"triplet": {"margn": 1}}, "no option 'margn'"),
        ({"label": {"dim": 1}}, "no option 'dim'"),
        ({"label": {"name": 1}}, "no option 'name'"),
        ({"a.b": {"loss": "label"}}, "cannot be called 'a.b'"),
        ({"a/b": {"loss": "label"}}, "cannot be called 'a/b'"),
        ({"keys": {"loss": "label"}}, "cannot be called 'keys'"),
        ({"": {"loss": "label"}}, "cannot be called ''"),
    ],
)
def test_mistakes_are_told(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(CMRError, match=message):
        build_objective(spec, 6, 4)


def test_a_bad_weight_of_a_term_is_told_by_its_name() -> None:
    label = build_objective({"label": {}}, 6, 4).terms["label"].loss
    with pytest.raises(
        CMRError, match=r"^the weight of 'mine' must be a number, 0 or more, not -1"
    ):
        Objective({"mine": Term(label, -1)})


def test_unknown_loss_is_told() -> None:
    with pytest.raises(UnknownNameError, match="proxy-anchor"):
        build_objective({"mine": {}}, 6, 4)


def test_misfitting_batches_are_told() -> None:
    objective = build_objective({"label": {}}, 6, 4)
    z, y = torch.randn(3, 6), torch.zeros(3).long()
    for images, texts, labels in [(z, z[:2], y), (z, z, y[:2]), (z[:0], z[:0], y[:0])]:
        with pytest.raises(CMRError, match=r"^a batch needs images \(B, d\)"):
            objective(images, texts, labels)


def test_log_lines_are_of_the_terms_that_have_one() -> None:
    spec = {"first": {"loss": "acmr-released"}, "label": {}, "second": {"loss": "acmr-released"}}
    objective = build_objective(spec, 6, 4)
    batch = torch.randn(2, 5, 6)
    objective.observe(*batch)
    _, parts = objective(*batch, torch.tensor([0, 1, 2, 3, 0]))
    first, second = objective.log_lines(parts, (7, 5, 33), 1.5)
    assert first.startswith("Epoch: [ 7][   5/  33] time: 1.5000, emb_loss: ")
    for line, name in ((first, "first"), (second, "second")):
        assert f"emb_loss: {parts[name + '/emb_loss']:.8f}, " in line
        assert line.endswith(f", {parts[name + '/w_neg']:.8f}")
    assert build_objective({"label": {}}, 6, 4).log_lines({}, (1, 0, 1), 0.0) == []
