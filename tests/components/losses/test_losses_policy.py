"""One policy for empty masks, absent classes, ignored pixels and soft labels: what each choice changes."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from components.errors import InvalidInputError
from components.losses import EnhancedBCELoss, EnhancedDiceLoss, LossManager
from components.losses.generalized import GeneralizedDiceLoss
from components.losses.kinds import build_term, built_in, kinds
from components.losses.unified_focal import UnifiedFocalLoss
from components.mask_policy import MaskPolicy, as_policy
from components.metrics import DiceCounts

SKIP = MaskPolicy(empty="skip")
REGIONS = [
    *("dice", "jaccard", "tversky", "focal_tversky", "squared_dice", "log_cosh_dice", "generalized_dice"),
    *("dice_semimetric", "mcc", "lovasz", "hausdorff", "boundary", "cldice", "skeleton_recall"),
]


def batch() -> tuple[Tensor, Tensor]:
    """Two samples of one channel; the second has no foreground."""
    logits = torch.randn(2, 1, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    target = torch.zeros(2, 1, 4, 5)
    target[0, 0, 1:3, 1:4] = 1
    return logits, target


@pytest.mark.parametrize("kind", REGIONS)
def test_a_skipped_sample_costs_what_the_others_cost_alone(kind: str) -> None:
    logits, target = batch()
    skipping = build_term(kind, "binary", {}, policy=SKIP)
    alone = build_term(kind, "binary", {})(logits[:1], target[:1])
    leaf = logits.clone().requires_grad_()
    value = skipping(leaf, target)
    (gradient,) = torch.autograd.grad(value, leaf)
    assert value.item() == pytest.approx(alone.item(), abs=1e-12)
    assert bool((gradient[1] == 0).all())
    assert bool((gradient[0] != 0).any())


@pytest.mark.parametrize("kind", [*REGIONS, "asymmetric_focal_tversky"])
def test_where_every_region_is_skipped_the_loss_is_0_without_gradient(kind: str) -> None:
    logits, target = (part[1:] for part in batch())
    mode: Any = "binary"
    if kind == "asymmetric_focal_tversky":  # its background is a region too, and must be empty as well
        target = torch.full_like(target, 255)
    leaf = logits.clone().requires_grad_()
    value = build_term(kind, mode, {}, policy=MaskPolicy(empty="skip", ignore_index=255))(leaf, target)
    (gradient,) = torch.autograd.grad(value, leaf)
    assert value.item() == 0
    assert bool((gradient == 0).all())


def test_an_absent_class_is_left_out_and_an_empty_sample_is_not() -> None:
    logits = torch.zeros(2, 3, 1, 2, dtype=torch.float64)  # every probability ⅓, P = ⅔
    target = torch.tensor([[[0, 1]], [[0, 0]]])  # class 1 is empty in the second sample, class 2 in both
    one = 1 - (2 / 3) / (2 / 3 + 1)  # a region of one true pixel: I = ⅓
    two = 1 - (4 / 3) / (2 / 3 + 2)
    options: dict[str, Any] = {"smooth_nr": 0.0, "smooth_dr": 1e-12}

    def value(**policy: Any) -> float:
        loss = EnhancedDiceLoss("multiclass", policy=MaskPolicy(**policy), **options)
        return float(loss(logits, target))

    assert value() == pytest.approx((one + one + 1 + two + 1 + 1) / 6)
    assert value(absent="skip") == pytest.approx((one + one + two + 1) / 4)
    assert value(empty="skip") == pytest.approx((one + one + two) / 3)


def test_pooled_classes_are_absent_where_they_are_empty() -> None:
    logits, target = torch.zeros(2, 3, 1, 2), torch.tensor([[[0, 1]], [[0, 0]]])
    found = [
        EnhancedDiceLoss("multiclass", batch=True, policy=policy)(logits, target)
        for policy in (SKIP, MaskPolicy(absent="skip"))
    ]
    assert torch.equal(*found)


def test_generalised_dice_gives_a_skipped_class_no_weight() -> None:
    logits = torch.randn(1, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    target = torch.randint(0, 2, (1, 4, 4), generator=torch.Generator().manual_seed(1))  # class 2 is absent
    loss = GeneralizedDiceLoss("multiclass", policy=SKIP)
    probs = logits.softmax(1)[0, :2].flatten(1)
    truth = torch.stack([target == 0, target == 1], 1)[0].flatten(1).double()
    weights = 1 / truth.sum(1) ** 2
    weights = weights / weights.max()
    overlap, masses = (probs * truth).sum(1), probs.sum(1) + truth.sum(1)
    expected = 1 - (2 * (weights * overlap).sum() + 1e-5) / ((weights * masses).sum() + 1e-5)
    assert loss(logits, target).item() == pytest.approx(expected.item(), rel=1e-9)


def test_unified_focal_skips_the_empty_foreground_of_its_tversky_part() -> None:
    logits, target = batch()
    loss = UnifiedFocalLoss(weight=1.0, policy=SKIP)
    first, second = (float(loss(logits[index : index + 1], target[index : index + 1])) for index in (0, 1))
    # The first sample has two regions that count, the second, all background, one.
    assert loss(logits, target).item() == pytest.approx((2 * first + second) / 3)


@pytest.mark.parametrize("kind", kinds())
def test_thresholded_soft_labels_are_hard_ones(kind: str) -> None:
    found = built_in(kind)
    if "binary" not in found.modes:
        return
    logits, target = batch()
    soft = 0.8 * target + 0.1
    cut = build_term(kind, "binary", {}, policy=MaskPolicy(soft_labels="threshold"))
    assert torch.equal(cut(logits, soft), build_term(kind, "binary", {})(logits, target))
    if found.soft_labels:
        assert not torch.equal(build_term(kind, "binary", {})(logits, soft), cut(logits, soft))


@pytest.mark.parametrize("kind", kinds())
def test_the_index_is_the_policys_or_given_beside_it(kind: str) -> None:
    for policy, index in ((MaskPolicy(ignore_index=255), None), (MaskPolicy(), 255), (None, 255)):
        term: Any = build_term(kind, "multiclass", {}, index, policy)
        assert (term.ignore_index, term.policy.ignore_index) == (255, 255)
    with pytest.raises(InvalidInputError, match="ignore_index: found 9 beside a policy with 255"):
        build_term(kind, "multiclass", {}, 9, MaskPolicy(ignore_index=255))


@pytest.mark.parametrize("policy", [SKIP, MaskPolicy(absent="skip")])
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's tracing
def test_skipping_compiles_to_one_graph(policy: MaskPolicy) -> None:
    logits, target = batch()
    for kind in ("dice", "squared_dice", "generalized_dice"):
        torch.compiler.reset()
        loss = build_term(kind, "binary", {}, policy=policy)
        compiled = torch.compile(loss, fullgraph=True, backend="eager")
        assert torch.equal(compiled(logits, target), loss(logits, target))


def test_terms_share_a_pass_only_over_the_same_pixels_and_labels() -> None:
    logits, target = batch()
    soft = 0.6 * target
    for policy in (MaskPolicy(), MaskPolicy(empty="skip"), MaskPolicy(soft_labels="threshold")):
        terms: dict[str, nn.Module] = {"a": EnhancedDiceLoss(policy=policy), "b": EnhancedBCELoss(variant="focal")}
        loss = LossManager.create_loss_function({"terms": {"dice": {}}})
        combined = type(loss)(terms)
        parts = combined.breakdown(logits, soft).terms
        assert {name: value.item() for name, value in parts.items()} == pytest.approx(
            {name: term(logits, soft).item() for name, term in terms.items()}
        )


def test_a_configuration_hands_its_policy_to_every_term() -> None:
    loss = LossManager.create_loss_function(
        {"terms": {"dice": {}, "bce": {}}, "policy": {"empty": "skip", "soft_labels": "threshold"}, "ignore_index": 9}
    )
    expected = MaskPolicy(empty="skip", soft_labels="threshold", ignore_index=9)
    assert [term.policy for term in loss.terms.values()] == [expected, expected]
    alone = LossManager.create_loss_function({"type": "lovasz", "policy": {"absent": "skip"}})
    assert [term.policy for term in alone.terms.values()] == [MaskPolicy(absent="skip")]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"empty": "drop"}, "policy: empty: found 'drop'; expected one of 'smooth', 'skip'"),
        ({"emtpy": "skip"}, "policy: found 'emtpy'; expected one of 'empty', 'absent', 'ignore_index', 'soft_labels'"),
        ({"ignore_index": True}, "ignore_index: found True; expected an integer or None"),
        ("skip", "policy: found 'skip'; expected a MaskPolicy or a mapping"),
    ],
)
def test_a_policy_that_does_not_fit_is_refused(policy: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        as_policy(policy)


def test_a_loss_takes_no_mapping_for_a_policy() -> None:
    wrong: Any = {"empty": "skip"}
    with pytest.raises(InvalidInputError, match="policy: found dict; expected a MaskPolicy"):
        EnhancedDiceLoss(policy=wrong)


def test_the_metric_takes_the_index_and_keeps_its_own_rules() -> None:
    policy = MaskPolicy(empty="skip", absent="skip", ignore_index=255)
    counts = DiceCounts("binary", policy=policy)
    # An empty truth with something predicted scores 0 whatever the policy says; the ignored pixel is no false alarm.
    counts.add(torch.tensor([[[[9.0, 9.0]]], [[[9.0, -9.0]]]]), torch.tensor([[[[1, 255]]], [[[0, 0]]]]))
    assert counts.scores().per_case.tolist() == [[1.0], [0.0]]


def test_the_metric_cuts_soft_masks_at_one_half() -> None:
    counts = DiceCounts("binary")
    counts.add(torch.tensor([[[[9.0, -9.0, -9.0]]]]), torch.tensor([[[[0.9, 0.4, 0.5]]]]))
    assert counts.scores().mean == 1.0
