"""When epochs are evaluated, when they are enough, and how another objective sees them."""

import pytest

from sweep.config.stages import Stage
from sweep.training.history import as_saved, ends_early, is_due, judged_again, read_history
from sweep.training.trainer import EpochReport

STAGES = [
    Stage(index=i, name=f"s{i}", start=start, end=end, lr=0.1, loss={})
    for i, (start, end) in enumerate([(0, 3), (4, 20)])
]


def history(scores):
    """Epochs with these scores; None is not evaluated."""
    found, last, best = [], None, float("inf")
    for epoch, score in enumerate(scores):
        last = last if score is None else score
        best = min(best, last)
        metrics = {} if score is None else {"score": score, "rmse_energy": 2 * score}
        found.append(EpochReport(epoch, STAGES[epoch > 3], last, best, {}, metrics, 0.0))
    return found


@pytest.mark.parametrize(
    ("interval", "epochs"),
    [(1, list(range(21))), (2, [0, 2, 3, *range(4, 21, 2)]), (5, [0, 3, 5, 10, 15, 20]),
     (100, [0, 3, 20])],
)  # fmt: skip
def test_what_is_evaluated(interval, epochs):
    stages = [STAGES[epoch > 3] for epoch in range(21)]
    assert [e for e, stage in enumerate(stages) if is_due(e, stage, interval)] == epochs


FALLS = [9.0, 8.0, 7.0, 6.0]


@pytest.mark.parametrize(
    ("scores", "patience", "ends"),
    [
        ([1.0] * 4, 1, False),  # the first stage is trained to its end
        ([*FALLS, 5.0, 5.0], 1, True),
        ([*FALLS, 5.0, 5.0], 2, False),
        ([*FALLS, 5.0, 5.1, 5.0], 2, True),  # the same again is not better
        ([*FALLS, 5.0, 5.1, 4.9, 5.0], 2, False),
        ([*FALLS, 60.0, 59.0, 58.0], 1, False),  # what counts is the best of the last stage
        ([*FALLS, 5.0, None, None, None, 5.1], 2, False),  # evaluations, not epochs
        ([*FALLS, 5.0, None, 5.1, None, 5.1], 2, True),
        ([*FALLS, 5.0, *[5.0] * 16], 1, False),  # the end of the schedule is not early
        ([*FALLS, 5.0, *[5.0] * 15], None, False),
        ([], 1, False),
    ],
)
def test_when_epochs_are_enough(scores, patience, ends):
    found = ends_early(history(scores), STAGES[-1], patience)
    assert (found is not None) == ends
    if found is not None:
        assert found == (
            f"ended after epoch {len(scores) - 1} of 20: no better score in {patience} "
            f"evaluation{'' if patience == 1 else 's'} (trainer.patience)"
        )


@pytest.mark.parametrize(("takes_last", "best"), [(False, [6.0, 6.0, 6.0]), (True, [6.0, 6.0, 8])])
def test_epochs_that_were_not_evaluated_keep_the_score_before(takes_last, best):
    given = history([3.0, None, 4.0])
    found = judged_again(given, lambda metrics: metrics["rmse_energy"], takes_last=takes_last)
    assert [report.score for report in found] == [6.0, 6.0, 8.0]
    assert [report.best_score for report in found] == best
    assert [report.metrics.get("score") for report in found] == [6.0, None, 8.0]


def test_a_checkpoint_gives_the_epochs_back():
    given = history([3.0, None, 4.0])
    found = read_history(as_saved(given), 3, lambda epoch: STAGES[epoch > 3])
    assert as_saved(found) == as_saved(given)
    assert [report.is_evaluated for report in found] == [True, False, True]
    with pytest.raises(ValueError, match="not that of epochs 0 to 3"):
        read_history(as_saved(given), 4, lambda _: STAGES[0])
