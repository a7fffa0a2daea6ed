"""How the weights move in a training loop of the user's own: a comment of exported weights."""

from __future__ import annotations

from collections.abc import Mapping

from sweep.records import Trial

__all__ = ["moving_lines"]

_CLASSES = {"gradient_shares": "GradientShares", "loss_shares": "LossShares"}
_OPTIONS = {"gradient_shares": ("interval", "smoothing", "ceiling")}


def moving_lines(trial: Trial) -> list[str]:
    """A training loop whose weights follow it as those of the trial did.

    Args:
        trial: A trial whose weights moved.
    """
    kind = _CLASSES.get(trial.weighting)
    weighting = trial.details.get("weighting")
    if kind is None or not isinstance(weighting, Mapping):
        return []
    given = weighting.get("shares")
    shares = {
        name: share
        for name, share in (given.items() if isinstance(given, Mapping) else ())
        if name in trial.loss and isinstance(share, int | float) and share != 1
    }
    options = {
        key: weighting[key]
        for key in _OPTIONS.get(trial.weighting, ("smoothing", "ceiling"))
        if isinstance(weighting.get(key), int | float)
    }
    arguments = "".join(f", {key}={value}" for key, value in options.items())
    loss = {name: term | {"weight": float(term["weight"] > 0)} for name, term in trial.loss.items()}
    return [
        "To have them move in a training loop of your own (docs/training.md):",
        "    import losses",
        f"    loss = losses.WeightedLoss({loss})  # only 0 matters, which switches off",
        f"    weighting = losses.{kind}({shares}, names=loss.names{arguments})",
        "    for batch in batches:",
        "        values = loss.raw_values(pred=model(batch), ref=batch)",
        "        optimizer.zero_grad()",
        "        weighting.backward(values, model.parameters())  # in place of loss.backward()",
        "        optimizer.step()",
        "    # with a checkpoint: weighting.state_dict(), weighting.load_state_dict(state)",
        *(
            [f"    # at the beginning of stage {i}: weighting.set_shares({dict(stage.shares)})"
             for i, stage in enumerate(trial.stages) if stage.shares]
        ),
    ]  # fmt: skip
