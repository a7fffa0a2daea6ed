"""Laws that every registered term obeys; a new term is covered as soon as it is registered."""

from types import SimpleNamespace

import pytest
import torch

import losses

# The softplus of this term never reaches zero; its other form does.
AT_ZERO = {"fixedpoint_scf_stability": {"smooth": False}}

every_term = pytest.mark.parametrize("name", losses.names())
masked_term = pytest.mark.parametrize(
    "name", [name for name in losses.names() if losses.get(name).mask is not None]
)
labelled_term = pytest.mark.parametrize(
    "name", [name for name in losses.names() if losses.get(name).labels]
)


def rows_of(graph, tensor, ref):
    """Rows of a label or output that belong to a graph."""
    if tensor.shape[0] == ref["weight"].numel():
        return torch.tensor([graph])
    return (ref["batch"] == graph).nonzero().reshape(-1)


def reordered(tensors, atoms, graphs, n_atoms):
    """Reorder what is per atom by ``atoms``, what is per graph by ``graphs``."""
    return {
        key: value.detach()[atoms if value.shape[0] == n_atoms else graphs]
        for key, value in tensors.items()
        if key not in ("ptr", "batch")
    }


@every_term
def test_exact_prediction_costs_nothing(name, make_batch, make_exact, gradients):
    _, ref = make_batch()
    pred = make_exact(ref)
    value = losses.evaluate(name, pred=pred, ref=ref, **AT_ZERO.get(name, {}))
    assert value == 0
    assert all((grad == 0).all() for grad in gradients(value, pred).values())


@every_term
def test_scalar_that_is_not_negative_and_has_a_gradient(name, make_batch, gradients):
    pred, ref = make_batch()
    value = losses.evaluate(name, pred=pred, ref=ref)
    assert value.shape == ()
    assert value > 0
    grads = gradients(value, pred)
    assert all(grad.isfinite().all() for grad in grads.values())
    touched = {key for key, grad in grads.items() if (grad != 0).any()}
    assert touched
    assert touched <= set(losses.get(name).outputs)


@every_term
def test_reads_no_output_and_no_label_beyond_the_declared(name, make_batch):
    pred, ref = make_batch()
    term = losses.get(name)
    structure = ["ptr", "batch", "positions", "weight", *([term.mask] if term.mask else [])]
    value = losses.evaluate(
        name,
        pred={key: pred[key] for key in term.outputs},
        ref={key: ref[key] for key in (*structure, *term.labels)},
    )
    assert value == losses.evaluate(name, pred=pred, ref=ref)


@every_term
def test_linear_in_its_weight(name, make_batch, gradients):
    pred, ref = make_batch()
    loss = losses.WeightedLoss({name: 1})
    once = loss(pred=pred, ref=ref)
    once_grads = gradients(once, pred)
    assert once == losses.evaluate(name, pred=pred, ref=ref)
    loss.set_weights({name: 37.5})
    more = loss(pred=pred, ref=ref)
    torch.testing.assert_close(more, 37.5 * once, rtol=1e-15, atol=0)
    for key, grad in gradients(more, pred).items():
        torch.testing.assert_close(grad, 37.5 * once_grads[key], rtol=1e-14, atol=0)


@every_term
def test_order_of_atoms_and_graphs_does_not_matter(name, make_batch):
    sizes = (3, 1, 4)
    pred, ref = make_batch(sizes)
    starts = [0, 3, 4]
    graphs = torch.tensor([2, 0, 1])
    atoms = torch.cat(
        [
            starts[g] + torch.randperm(sizes[g], generator=torch.Generator().manual_seed(g))
            for g in graphs.tolist()
        ]
    )
    new_ref = reordered(ref, atoms, graphs, 8)
    new_ref["ptr"] = torch.tensor([0, 4, 7, 8])
    new_ref["batch"] = torch.tensor([0] * 4 + [1] * 3 + [2])
    torch.testing.assert_close(
        losses.evaluate(name, pred=reordered(pred, atoms, graphs, 8), ref=new_ref),
        losses.evaluate(name, pred=pred, ref=ref).detach(),
        rtol=1e-12,
        atol=0,
    )


@masked_term
def test_unlabelled_configuration_contributes_nothing(name, make_batch, gradients):
    pred, ref = make_batch()
    term = losses.get(name)
    ref[term.mask][1] = 0
    value = losses.evaluate(name, pred=pred, ref=ref)
    grads = gradients(value, pred)
    for key in term.outputs:
        if key in grads:
            rows = rows_of(1, pred[key], ref)
            assert (grads[key][rows] == 0).all()
            assert (grads[key] != 0).any()
    for key in term.labels:
        if ref[key].is_floating_point():
            ref[key][rows_of(1, ref[key], ref)] = 1e3
    assert losses.evaluate(name, pred=pred, ref=ref) == value


@masked_term
def test_no_labelled_configuration_gives_a_zero_in_the_graph(name, make_batch, gradients):
    pred, ref = make_batch()
    ref[losses.get(name).mask].zero_()
    value = losses.evaluate(name, pred=pred, ref=ref)
    assert value == 0
    assert value.requires_grad
    assert all((grad == 0).all() for grad in gradients(value, pred).values())


@labelled_term
def test_configuration_of_weight_zero_contributes_nothing(name, make_batch, gradients):
    pred, ref = make_batch()
    ref["weight"][0] = 0
    grads = gradients(losses.evaluate(name, pred=pred, ref=ref), pred)
    for key in losses.get(name).outputs:
        if key in grads:
            assert (grads[key][rows_of(0, pred[key], ref)] == 0).all()


def test_terms_without_a_mask_are_those_of_the_formulas():
    """They fit a missing label as 0, as MACE_SCF does; coverage checks must know them."""
    without = {
        name for name in losses.names() if losses.get(name).labels and not losses.get(name).mask
    }
    assert without == {
        "total_charge",
        "total_charge_per_atom",
        "fermi_level",
        "fermi_level_per_atom",
    }


@every_term
@pytest.mark.parametrize("sizes", [(5,), (1,), (1, 1, 1)])
def test_small_batches(name, sizes, make_batch, gradients):
    pred, ref = make_batch(sizes)
    value = losses.evaluate(name, pred=pred, ref=ref)
    assert value.isfinite()
    assert all(grad.isfinite().all() for grad in gradients(value, pred).values())


@every_term
def test_dtype_is_that_of_the_prediction(name, make_batch):
    pred, ref = make_batch()
    exact = losses.evaluate(name, pred=pred, ref=ref)
    assert exact.dtype == torch.float64
    single = {key: value.detach().float() for key, value in pred.items()}
    rounded = losses.evaluate(name, pred=single, ref=ref)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded.double(), exact.detach(), rtol=1e-5, atol=0)
    # Labels stored in single precision do not make the arithmetic single.
    stored = {k: v.float() if v.is_floating_point() else v for k, v in ref.items()}
    assert losses.evaluate(name, pred=pred, ref=stored).dtype == torch.float64


@every_term
def test_derivatives_agree_with_finite_differences(name, make_batch):
    pred, ref = make_batch((2, 1), seed=3)
    keys = [key for key in losses.get(name).outputs if pred[key].requires_grad]

    def value(*tensors):
        return losses.evaluate(
            name, pred={**pred, **dict(zip(keys, tensors, strict=True))}, ref=ref
        )

    inputs = [pred[key] for key in keys]
    assert torch.autograd.gradcheck(value, inputs)
    assert torch.autograd.gradgradcheck(value, inputs)


@every_term
def test_members_are_evaluated_together_as_they_are_one_by_one(name, make_batch):
    members, (_, ref) = 3, make_batch()
    ref["molecule_index"] = losses.molecule_index(ref["batch"], ref["cluster_batch"])
    preds = [
        {key: value.detach() for key, value in make_batch(seed=seed)[0].items()}
        for seed in range(members)
    ]
    for k, pred in enumerate(preds):
        pred["loss_weight_modifier"] = torch.tensor([1.0, 0.5, k], dtype=torch.float64)
    stacked = {key: torch.stack([pred[key] for pred in preds]) for key in preds[0]}
    loss = losses.WeightedLoss({name: 1.0})
    together = torch.func.vmap(lambda pred: loss.raw(pred=pred, ref=ref))(stacked)
    one_by_one = torch.stack([loss.raw(pred=pred, ref=ref) for pred in preds])
    assert together.shape == (members, 1)
    torch.testing.assert_close(together, one_by_one, rtol=1e-14, atol=0)
    slopes = torch.func.vmap(torch.func.grad(lambda pred: loss.raw(pred=pred, ref=ref)[0]))(stacked)
    for k, pred in enumerate(preds):
        own = torch.func.grad(lambda p: loss.raw(pred=p, ref=ref)[0])(pred)
        for key in losses.get(name).outputs:
            torch.testing.assert_close(slopes[key][k], own[key], rtol=1e-13, atol=1e-16)


@every_term
def test_labels_may_be_attributes_of_an_object(name, make_batch):
    pred, ref = make_batch()
    attributes = SimpleNamespace(**ref)
    assert losses.evaluate(name, pred=pred, ref=attributes) == losses.evaluate(
        name, pred=pred, ref=ref
    )


@every_term
def test_modifier_scales_the_configuration_weight(name, make_batch):
    pred, ref = make_batch()
    stored = ref["weight"].clone()
    modifier = torch.tensor([0.5, 0.0, 2.0], dtype=torch.float64, requires_grad=True)
    modified = losses.evaluate(name, pred={**pred, "loss_weight_modifier": modifier}, ref=ref)
    assert torch.equal(ref["weight"], stored)
    explicit = losses.evaluate(name, pred=pred, ref={**ref, "weight": stored * modifier.detach()})
    torch.testing.assert_close(modified, explicit, rtol=1e-15, atol=0)
    assert torch.autograd.grad(modified, modifier, allow_unused=True) == (None,)
