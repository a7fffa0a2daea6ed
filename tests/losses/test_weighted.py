"""WeightedLoss: weights, breakdown, what is evaluated, and every error."""

import copy
import pickle

import pytest
import torch

import losses


def test_total_is_exactly_the_sum_of_the_breakdown(make_batch, everything):
    pred, ref = make_batch()
    breakdown = everything.breakdown(pred=pred, ref=ref)
    assert breakdown.names == everything.names == losses.names()
    assert breakdown.total == breakdown.weighted.sum()
    assert breakdown.total == everything(pred=pred, ref=ref)
    assert torch.equal(breakdown.weighted, breakdown.raw * everything.weights)
    torch.testing.assert_close(breakdown.share.sum().item(), 1.0)
    for name, raw in zip(breakdown.names, breakdown.raw, strict=True):
        assert raw == losses.evaluate(name, pred=pred, ref=ref)


def test_gradient_of_the_total_is_the_weighted_sum(make_batch, everything, gradients):
    pred, ref = make_batch()
    total = gradients(everything(pred=pred, ref=ref), pred)
    for key in total:
        expected = sum(
            weight * gradients(losses.evaluate(name, pred=pred, ref=ref), pred)[key]
            for name, weight in zip(everything.names, everything.weights, strict=True)
        )
        torch.testing.assert_close(total[key], expected, rtol=1e-12, atol=1e-14)


def test_order_is_that_of_the_configuration(make_batch):
    loss = losses.WeightedLoss({"forces": 2, "energy_per_atom": {"weight": 3}})
    assert loss.names == ("forces", "energy_per_atom")
    assert loss.weights.tolist() == [2.0, 3.0]


def test_number_and_mapping_are_the_same(make_batch):
    pred, ref = make_batch()
    bare = losses.WeightedLoss({"forces_huber": 2})
    full = losses.WeightedLoss({"forces_huber": {"weight": 2.0, "huber_delta": 0.01}})
    other = losses.WeightedLoss({"forces_huber": {"weight": 2.0, "huber_delta": 1}})
    assert bare(pred=pred, ref=ref) == full(pred=pred, ref=ref)
    assert bare(pred=pred, ref=ref) != other(pred=pred, ref=ref)


def test_weight_zero_is_not_evaluated(make_batch):
    pred, ref = make_batch()
    del pred["esps"], pred["stress"]
    loss = losses.WeightedLoss({"esps": 0, "forces": 2.0, "stress": {"weight": 0.0}})
    assert loss.active == ("forces",)
    breakdown = loss.breakdown(pred=pred, ref=ref)
    assert breakdown.active == ("forces",)
    assert breakdown.raw[[0, 2]].tolist() == [0.0, 0.0]
    assert breakdown.share.tolist() == [0.0, 1.0, 0.0]
    loss.set_weights({"esps": 1.0})
    with pytest.raises(losses.LossError, match="'esps'"):
        loss(pred=pred, ref=ref)


def test_all_weights_zero_gives_a_zero_with_a_gradient(make_batch, gradients):
    pred, ref = make_batch()
    with torch.no_grad():
        pred["energy"].fill_(float("nan"))
    breakdown = losses.WeightedLoss({"forces": 0}).breakdown(pred=pred, ref=ref)
    assert breakdown.total == 0
    assert breakdown.share.tolist() == [0.0]
    assert all((grad == 0).all() for grad in gradients(breakdown.total, pred).values())


def test_set_weights_rebuilds_nothing(make_batch):
    pred, ref = make_batch()
    loss = losses.WeightedLoss({"forces": 1, "energy_per_atom": 1})
    held, data = loss.weights, loss.weights.data_ptr()
    loss.set_weights({"forces": 10})
    assert loss.weights is held
    assert held.data_ptr() == data
    assert held.tolist() == [10.0, 1.0]
    fresh = losses.WeightedLoss({"forces": 10, "energy_per_atom": 1})
    assert loss(pred=pred, ref=ref) == fresh(pred=pred, ref=ref)
    for wrong in ({"forces": -1}, {"energy_per_atom": 5, "force": 1}):
        with pytest.raises(losses.LossError):
            loss.set_weights(wrong)
        assert held.tolist() == [10.0, 1.0]


def test_weights_move_with_the_module_and_stay_out_of_checkpoints():
    loss = losses.WeightedLoss({"forces": 0.1}, dtype=torch.float32)
    assert loss.weights.dtype == torch.float32
    assert loss.to("meta").weights.device.type == "meta"
    assert not loss.state_dict()
    assert not list(loss.parameters())


def test_a_loss_can_be_copied_and_sent_to_a_worker(make_batch):
    pred, ref = make_batch()
    loss = losses.WeightedLoss({"forces_huber": {"weight": 3, "huber_delta": 0.5}})
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert other(pred=pred, ref=ref) == loss(pred=pred, ref=ref)


def test_single_precision_stays_single(make_batch, everything):
    pred, ref = make_batch(dtype=torch.float32)
    breakdown = everything.breakdown(pred=pred, ref=ref)
    assert {t.dtype for t in (breakdown.raw, breakdown.weighted, breakdown.total)} == {
        torch.float32
    }


def test_outputs_that_are_none_count_as_missing(make_batch):
    pred, ref = make_batch()
    pred["stress"] = None
    assert losses.evaluate("forces", pred=pred, ref=ref) > 0
    with pytest.raises(losses.LossError, match="'stress'"):
        losses.evaluate("stress", pred=pred, ref=ref)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({}, "at least one term"),
        ([], "at least one term"),
        ("forces", "at least one term"),
        ({"force": 1}, "unknown loss term 'force'; did you mean 'forces'"),
        ({"zzz": 1}, "unknown loss term 'zzz'; valid: .*atomic_multipoles.*total_charge"),
        ({"forces": -1}, "weight of term 'forces' must be finite and at least 0, got -1"),
        ({"forces": float("nan")}, "weight of term 'forces'.*nan"),
        ({"forces": float("inf")}, "weight of term 'forces'.*inf"),
        ({"forces": "100"}, "weight of term 'forces' must be a number, got '100'"),
        ({"forces": True}, "weight of term 'forces' must be a number, got True"),
        ({"forces": None}, "weight of term 'forces' must be a number, got None"),
        ({"forces": [1.0]}, "weight of term 'forces' must be a number"),
        ({"forces": {}}, "term 'forces' needs a 'weight'"),
        ({"forces_huber": {"huber_delta": 1.0}}, "term 'forces_huber' needs a 'weight'"),
        ({"forces": {"weight": "1"}}, "weight of term 'forces' must be a number"),
        ({"forces": {"weight": 1, "delta": 1}}, "term 'forces' has no option 'delta'"),
        (
            {"forces_huber": {"weight": 1, "huber_dleta": 1}},
            "has no option 'huber_dleta'; did you mean 'huber_delta'",
        ),
        ({"forces_huber": {"weight": 1, "huber_delta": 0}}, "'huber_delta'.*larger than 0, got 0"),
        ({"forces_huber": {"weight": 1, "huber_delta": "1"}}, "'huber_delta'.*a number, got '1'"),
        ({"forces_huber": {"weight": 1, "huber_delta": True}}, "'huber_delta'.*a number"),
        ({"forces_huber": {"weight": 1, "huber_delta": float("nan")}}, "'huber_delta'.*finite"),
        ({"fixedpoint_scf_stability": {"weight": 1, "smooth": 1}}, "'smooth'.*true or false"),
        ({"fixedpoint_scf_stability": {"weight": 1, "beta": -1}}, "'beta'.*larger than 0"),
    ],
)
def test_configuration_errors(terms, message):
    with pytest.raises(losses.LossError, match=message) as caught:
        losses.WeightedLoss(terms)
    assert "\n" not in str(caught.value)


def without(tensors, key):
    return {k: v for k, v in tensors.items() if k != key}


def reshaped(tensors, key, change):
    return {**tensors, key: change(tensors[key])}


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "esps",
            lambda p, r: (without(p, "esps"), r),
            "term 'esps' needs the model output 'esps'; the model returned: charges_history, ",
        ),
        ("esps", lambda p, r: (without(p, "esps_dft"), r), "needs the model output 'esps_dft'"),
        ("esps", lambda p, r: ({}, r), "the model returned: nothing"),
        (
            "forces",
            lambda p, r: (p, without(r, "forces")),
            "term 'forces' needs 'forces' in ref; ref holds: batch, ",
        ),
        (
            "cluster_virial",
            lambda p, r: (p, without(r, "cluster_batch")),
            "term 'cluster_virial' needs 'cluster_batch'",
        ),
        ("forces", lambda p, r: (p, without(r, "ptr")), "the batch needs 'ptr'"),
        ("forces", lambda p, r: (p, without(r, "batch")), "the batch needs 'batch'"),
        (
            "atomic_multipoles",
            lambda p, r: (p, reshaped(r, "density_coefficients", lambda t: t[:, :1])),
            "'density_coefficients' has 1 columns per atom, the model's multipoles have 4",
        ),
        (
            "forces",
            lambda p, r: (p, reshaped(r, "forces", lambda t: t[:-1])),
            r"term 'forces': label 'forces' has shape \[7, 3\], .* number of atoms, 8",
        ),
        (
            "forces",
            lambda p, r: (p, reshaped(r, "forces", lambda t: t[:, :2])),
            "label 'forces' has 2 values per atom, the model's prediction 3",
        ),
        (
            "energy_per_atom",
            lambda p, r: (reshaped(p, "energy", lambda t: t.sum()), r),
            r"model output 'energy' has shape \[\], .* number of graphs, 3",
        ),
        (
            "dipole",
            lambda p, r: (p, reshaped(r, "dipole_weight", lambda t: t.reshape(-1))),
            r"weight 'dipole_weight' has shape \[9\]",
        ),
        (
            "dipole",
            lambda p, r: (p, reshaped(r, "dipole_weight", lambda t: t[:, :2])),
            "weight 'dipole_weight' has 2 values per graph, the prediction 3",
        ),
        (
            "esps",
            lambda p, r: (reshaped(p, "esps_dft", lambda t: t[:-1]), r),
            r"model output 'esps_dft' has shape \[7\]",
        ),
        (
            "final_terms_fixedpoint_scf_stability",
            lambda p, r: (reshaped(p, "charges_history", lambda t: t[..., :1]), r),
            "at least 2 SCF steps",
        ),
    ],
)
def test_input_errors(name, change, message, make_batch):
    pred, ref = change(*make_batch())
    with pytest.raises(losses.LossError, match=message) as caught:
        losses.WeightedLoss({name: 1.0})(pred=pred, ref=ref)
    assert "\n" not in str(caught.value)


def test_unknown_names(make_batch):
    pred, ref = make_batch()
    with pytest.raises(losses.LossError, match="did you mean 'dipole'"):
        losses.evaluate("dipol", pred=pred, ref=ref)
    with pytest.raises(losses.LossError, match="did you mean 'dipole'"):
        losses.get("dipol")
    with pytest.raises(losses.LossError, match="'huber_delta'"):
        losses.evaluate("forces", pred=pred, ref=ref, huber_delta=1.0)
    with pytest.raises(losses.LossError, match="no term 'dipole'; valid: forces"):
        losses.WeightedLoss({"forces": 1}).set_weights({"dipole": 1})
    assert issubclass(losses.LossError, ValueError)
