"""Trainings with other seeds: mean, spread, and whether the gain is beyond the noise."""

import json

import numpy as np
import pytest
from scipy import stats

from sweep.errors import InputError
from sweep.export.winner import select
from sweep.files import write_json
from sweep.records.study import Study
from sweep.report.confirmation import read_confirmation
from sweep.report.confirmation_text import confirmation_sentences
from sweep.report.spread import Spread, seeds_needed, welch
from sweep.report.summary import write_confirmation, write_summary
from sweep.report.terminal.answer import print_confirmation, print_study

DEFAULT, GOOD = [0.50, 0.52, 0.48], [0.40, 0.41, 0.39]


@pytest.fixture
def repeat(tmp_path):
    """Write a training with another seed."""

    def make(number, seed, score=None, *, state="COMPLETE", test=True, tail="", **content):
        metrics = {}
        if score is not None:
            metrics["valid"] = {"score": score, "rmse_forces": score / 10, "mae_forces": score / 20}
            if test:
                metrics["test"] = {"score": 1.1 * score, "rmse_forces": score / 9}
        write_json(
            tmp_path / "confirm" / f"{number:04d}-seed{seed}{tail}" / "trial.json",
            {
                "number": number, "seed": seed, "state": state, "score": score,
                "metrics": metrics, "reason": None,
                "objective": {"metrics": ["forces"], "statistic": "rmse"}, **content,
            },
        )  # fmt: skip

    return make


@pytest.fixture
def confirm(repeat, make_trial, tmp_path):
    """Write a search and all trainings of some of its trials."""

    def make(scores, search=(), **more):
        for number, factor in search:
            make_trial(number, factor=factor, role="default" if number == 0 else None)
        for number, values in scores.items():
            for i, value in enumerate(values):
                repeat(number, i + 1, value, **more)
        return read_confirmation(Study.read(tmp_path))

    return make


def test_a_study_without_confirmation_has_none(study_folder):
    assert read_confirmation(Study.read(study_folder)) is None


def test_a_gain_beyond_the_noise(confirm, numbers):
    found = confirm({0: DEFAULT, 7: GOOD})
    (text,) = confirmation_sentences(found)
    own, reference = ([1.1 * v for v in values] for values in (GOOD, DEFAULT))
    p = stats.ttest_ind(own, reference, equal_var=False, alternative="less").pvalue
    assert found.p_value(found.others[0]) == pytest.approx(p)
    assert found.is_beyond_noise is True
    assert "beats" in text
    assert numbers(text) == [7, 0.44, 0.011, 0.55, 0.022, -0.2, pytest.approx(p, rel=0.05)]
    assert "test set" in text


def test_a_gain_within_the_noise(confirm):
    found = confirm({0: [0.50, 0.60, 0.40], 7: [0.45, 0.55, 0.38]})
    assert found.is_beyond_noise is False
    (text,) = confirmation_sentences(found)
    assert "looks better" in text
    assert "three seeds cannot show it (p = 0.3" in text
    assert "nor would 20" in text


def test_no_gain_at_all(confirm):
    found = confirm({0: GOOD, 7: DEFAULT})
    assert "trial 7 is no better than the default weights" in confirmation_sentences(found)[0]
    assert "+25 %" in confirmation_sentences(found)[0]


def test_the_validation_set_judges_without_a_test_set(confirm, numbers):
    found = confirm({0: DEFAULT, 7: GOOD}, test=False)
    assert found.split == "valid"
    assert numbers(confirmation_sentences(found)[0])[1:5] == [0.4, 0.01, 0.5, 0.02]
    assert "validation set" in confirmation_sentences(found)[0]


def test_candidates_stand_in_the_order_of_the_search(confirm, numbers):
    search = [(0, 1.0), (3, 0.6), (5, 0.5), (9, 0.7)]
    found = confirm({0: DEFAULT, 3: GOOD, 5: [0.45, 0.47, 0.44], 9: DEFAULT}, search)
    assert [c.number for c in found.candidates] == [0, 5, 3, 9]
    assert "trial 5 beats the default" in confirmation_sentences(found)[0]
    assert confirmation_sentences(found)[-1].startswith("trial 3 is better than trial 5")
    values = numbers(confirmation_sentences(found)[-1])
    assert values[:6] == [3, 5, 0.44, 0.011, 0.499, 0.017]
    p = stats.ttest_rel(GOOD, [0.45, 0.47, 0.44], alternative="less").pvalue
    assert found.paired_p_value(found.candidate(3), found.candidate(5)) == pytest.approx(p)
    assert found.recommended == 5  # as long as the search: it changes no answer


def test_another_that_is_better_within_the_noise(confirm):
    search = [(0, 1.0), (3, 0.6), (5, 0.5)]
    found = confirm({0: DEFAULT, 3: [0.39, 0.41, 0.40], 5: [0.42, 0.40, 0.41]}, search)
    assert ", within the noise" in confirmation_sentences(found)[-1]


def test_longer_trainings_say_which_weights_hold(confirm, repeat, make_trial, tmp_path, capsys):
    """What wins the search loses where it counts; then the answer is another."""
    for number, (factor, role) in enumerate([(1.0, "default"), (0.6, "balanced"), (0.5, None)]):
        make_trial(number, factor=factor, role=role)
    for number, values in enumerate([DEFAULT, [0.22, 0.21, 0.23], GOOD]):
        for i, value in enumerate(values):
            repeat(number, i + 1, 1.1 * value)
            repeat(number, i + 1, value, tail="-x10")
    study = Study.read(tmp_path)
    found = read_confirmation(study)
    assert (found.length, found.best, found.holds.number, found.recommended) == (10, 2, 1, 1)
    gain, *_, holds = confirmation_sentences(found)
    assert "three seeds, 10 times the length" in gain
    assert holds.startswith("trial 1 (weights that move while it trains) is better at 10 times")
    assert holds.endswith("take trial 1 for trainings of that length")
    write_summary(study, found)
    assert "that hold at 10 times the length" in (tmp_path / "best_loss.yaml").read_text()
    write_confirmation(found)
    assert select(tmp_path, None).number == 1
    assert select(tmp_path, 2).number == 2
    print_study(study, found)
    assert "weights that hold at 10 times the length, trial 1" in capsys.readouterr().out
    (tmp_path / "confirmation.json").write_text("[]")
    with pytest.raises(InputError, match=r"confirmation\.json: cannot be read .*--trial"):
        select(tmp_path, None)


def test_the_winner_may_hold(confirm, repeat, make_trial, tmp_path):
    for number, (factor, role) in enumerate([(1.0, "default"), (0.6, "balanced"), (0.5, None)]):
        make_trial(number, factor=factor, role=role)
        for i, value in enumerate([DEFAULT, GOOD, [0.22, 0.21, 0.23]][number]):
            repeat(number, i + 1, value, tail="-x10")
    found = read_confirmation(Study.read(tmp_path))
    assert found.recommended == 2
    told = confirmation_sentences(found)[-1]
    assert told == "trial 2, the best of the search, is the best at 10 times the length, too"


def test_unfinished_trainings_are_told(confirm, repeat, tmp_path):
    confirm({0: DEFAULT, 7: GOOD[:1], 8: GOOD[:2]})
    repeat(7, 2, state="RUNNING")
    repeat(7, 3, state="FAILED", reason="epoch 1: forces is not finite")
    found = read_confirmation(Study.read(tmp_path))
    assert found.is_beyond_noise is None
    gain, seventh, eighth = confirmation_sentences(found)
    assert "looks better" in gain
    assert "one seed): too few" in gain
    assert seventh.startswith("trial 7: 1 of 3 trainings are complete (1 running, 1 failed)")
    assert seventh.endswith("epoch 1: forces is not finite")
    assert eighth == "trial 8: 2 of 3 trainings are complete (1 not begun)"


def test_nothing_is_complete_yet(repeat, tmp_path, capsys):
    repeat(0, 1, state="RUNNING")
    repeat(4, 1, state="RUNNING")
    found = read_confirmation(Study.read(tmp_path))
    print_confirmation(found)
    out = capsys.readouterr().out
    assert "Trial 4: 0 of 1 trainings are complete (1 running)" in out
    write_confirmation(found)
    assert json.loads((tmp_path / "confirmation.json").read_text())["beyond_noise"] is None


def test_a_damaged_record_is_left_out_and_told(confirm, repeat, tmp_path):
    confirm({0: DEFAULT, 7: GOOD})
    path = tmp_path / "confirm" / "0007-seed3" / "trial.json"
    path.write_text("{")
    found = read_confirmation(Study.read(tmp_path))
    assert len(found.others[0].repeats) == 2
    assert f"left out: {path}" in confirmation_sentences(found)[-1]


def test_the_file_and_the_table(confirm, tmp_path, capsys):
    found = confirm({0: DEFAULT, 7: GOOD}, [(0, 1.0), (7, 0.5)])
    write_confirmation(found)
    content = json.loads((tmp_path / "confirmation.json").read_text())
    assert (content["split"], content["trial"], content["beyond_noise"]) == ("test", 7, True)
    default, best = content["candidates"]
    assert (default["trial"], default["seeds"], default["p_value"]) == (0, [1, 2, 3], None)
    assert best["score_in_search"] == pytest.approx(0.1)
    assert best["states"] == ["COMPLETE"] * 3
    assert best["valid"]["score"]["values"] == GOOD
    assert best["valid"]["rmse_forces"]["mean"] == pytest.approx(0.04)
    assert best["test"]["rmse_forces"]["deviation"] == pytest.approx(0.01 / 9)
    print_confirmation(found)
    out = capsys.readouterr().out
    assert "mean ± standard deviation" in out
    assert "mean of three seeds" in out
    assert "50.0 ± 2.0" in out
    assert "40.0 ± 1.00 (−20 %)" in out or "40.0 ± 1.0 (−20 %)" in out
    assert "beats the default weights" not in out  # the headline of the study, before


@pytest.mark.parametrize(
    ("values", "reference", "p"),
    [((1.0, 1.0), (2.0, 2.0), 0.0), ((2.0, 2.0), (2.0, 2.0), 1.0), ((1.0,), (2.0, 3.0), None)],
)
def test_welch_where_there_is_no_spread(values, reference, p):
    assert welch(values, reference) == p


def test_a_spread():
    spread = Spread((1.0, 2.0, 3.0))
    assert (spread.mean, spread.deviation) == (2.0, 1.0)
    assert Spread((1.0,)).deviation is None
    assert Spread((0.05,)).text(1000) == "50.0"


def test_as_many_seeds_as_are_needed():
    """Four times in five a difference of that size is then found."""
    rng = np.random.default_rng(0)
    values, reference = (0.8, 1.0), (1.0, 1.2)  # 1.41 standard deviations apart
    n = seeds_needed(values, reference)
    spread = np.std(values, ddof=1)
    own = rng.normal(0.9, spread, (4000, n))
    base = rng.normal(1.1, spread, (4000, n))
    found = np.mean(stats.ttest_ind(own, base, axis=1, alternative="less").pvalue < 0.05)
    assert found + 0.02 >= 0.8
    assert found < 0.9
    assert seeds_needed((1.0, 1.2), (0.8, 1.0)) is None  # no gain
    assert seeds_needed((0.99, 1.19), (1.0, 1.2)) is None  # far too small
    assert seeds_needed((1.0,), (2.0, 2.1)) is None
    assert seeds_needed((1.0, 1.0), (2.0, 2.0)) is None  # shown already
