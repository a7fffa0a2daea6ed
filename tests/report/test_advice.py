"""Every rule of advice speaks where the numbers give reason to, with them, and only there."""

import json

import numpy as np
import pandas as pd
import pytest

from sweep.report.advice import balance as advice_balance
from sweep.report.advice import errors as advice_errors
from sweep.report.advice import search as advice_search
from sweep.report.advice.rules import RULES, advise
from sweep.report.comparison.comparison import compare
from sweep.report.comparison.sources import read_sources

EVEN = {"forces": 1.0, "esps": 1.0, "dipole": 1.0}


@pytest.fixture
def study(make_two_stage_trial):
    """Make a comparison from (weights, errors, more) of trials 0, 1, ...; 0 is the default."""

    def make(*trials):
        for number, (weights, errors, *more) in enumerate(trials):
            content = {"role": "default" if number == 0 else None, **(more[0] if more else {})}
            folder = make_two_stage_trial(number, {**EVEN, **weights}, errors, **content)
        return compare(read_sources([folder.parents[1]])[0])

    return make


def said(rule, comparison):
    return [advice.text for advice in rule(comparison)]


def test_gain(study):
    c = study(({}, {"energy": 0.002, "forces": 0.1}), ({}, {"energy": 0.0024, "forces": 0.05}))
    (text,) = said(advice_errors.gain, c)
    assert text == (
        "Trial 1 has the lowest score: 0.0262 instead of 0.0510 with the default weights (−49 % on "
        "validation, −49 % on the test set). Better: forces −50 %. Worse: energy +20 %."
    )


def test_gain_where_nothing_is_better(study):
    assert said(advice_errors.gain, study(({}, {"forces": 0.1}), ({}, {"forces": 0.2}))) == [
        "The other complete trial does not beat the default weights (score 0.100)."
    ]


def test_gain_of_the_only_trial(study):
    assert said(advice_errors.gain, study(({}, {"forces": 0.1}))) == [
        "Only one trial is complete: the default weights (score 0.100)."
    ]


def test_gain_without_a_default(study):
    c = study(({}, {"forces": 0.1}, {"state": "STOPPED"}), ({}, {"forces": 0.2}))
    (text,) = said(advice_errors.gain, c)
    assert text == (
        "Trial 1 has the lowest score, 0.200; the baseline to compare it with is not complete."
    )


def test_worse_metrics_name_another_trial(study):
    c = study(
        ({}, {"energy": 0.4, "forces": 0.1}),
        ({}, {"energy": 0.1, "forces": 0.12}),
        ({}, {"energy": 0.14, "forces": 0.09}),
    )
    (text,) = said(advice_errors.worse_metrics, c)
    assert text == (
        "Forces get worse by 20 % with the best weights (120 instead of 100 meV/Å on validation; "
        "+20 % on the test set). Trial 2 has 90.0 meV/Å (−10 %) at a score 4.5 % above the best: "
        "take it if this error matters to you."
    )


def test_worse_metrics_without_an_alternative(study):
    c = study(({}, {"energy": 0.4, "forces": 0.1}), ({}, {"energy": 0.1, "forces": 0.12}))
    (text,) = said(advice_errors.worse_metrics, c)
    assert text.endswith("on the test set).")
    c = study(({}, {"energy": 0.4, "forces": 0.1}), ({}, {"energy": 0.1, "forces": 0.1}))
    assert said(advice_errors.worse_metrics, c) == []


@pytest.mark.parametrize(("test_score", "level"), [(0.1, "hint"), (0.5, "caution")])
def test_the_test_set(study, test_score, level):
    valid = {"score": 0.1, "rmse_forces": 0.1}
    best = {"score": 0.1, "metrics": {"valid": valid, "test": {"score": test_score}}}
    c = study(({}, {"forces": 0.4}), ({}, {"forces": 0.3}), ({}, {"forces": 0.1}, best))
    (advice,) = advice_errors.test_set(c)
    assert advice.level == level
    if level == "hint":
        assert "agrees: trial 2 is best there (rank correlation" in advice.text
        assert "over 3 trials: 1.00)" in advice.text
    else:
        assert advice.text.startswith(
            "On the test set trial 1 is better: trial 2 is number 3 there, 52 % behind"
        )


def test_a_close_call(study):
    c = study(({}, {"forces": 0.1}), ({}, {"forces": 0.101}), ({}, {"forces": 0.12}))
    (text,) = said(advice_errors.close_call, c)
    assert text.startswith("Trial 1 is within 1.0 % of the best score.")
    assert said(advice_errors.close_call, study(({}, {"forces": 0.1}), ({}, {"forces": 0.2}))) == []


def test_balanced_weights(study):
    c = study(
        ({}, {"forces": 0.4}), ({}, {"forces": 0.2}, {"role": "balanced"}), ({}, {"forces": 0.1})
    )
    (text,) = said(advice_errors.balanced_weights, c)
    assert "(trial 1)" in text
    assert "a score of 0.200: 50 % of the way from default to best" in text


def test_dominating_terms(study):
    """As in the case for which this tool is made: one term drowns the others."""
    c = study(
        ({}, {"forces": 0.2, "energy": 0.2}),
        ({"esps": 1000.0}, {"forces": 0.23, "energy": 0.9}),
        ({"esps": 2.0}, {"forces": 0.1, "energy": 0.1}),
        ({"esps": 3.0}, {"forces": 0.1, "energy": 0.11}),
    )
    (text,) = said(advice_balance.dominating_terms, c)
    share = c.balance("1").shares["esps"]
    shares = [c.balance(label).shares["esps"] for label in ("2", "3")]
    assert text == (
        f"esps took {share:.0%} of the loss in trial 1 and energy got 350 % worse than the "
        f"baseline; the two best trials gave it {min(shares):.0%} to {max(shares):.0%}."
    ).replace("%", " %").replace(" % to", " to").replace("  ", " ")


def test_a_term_that_dominates_the_default(study):
    c = study(
        ({"esps": 1000.0}, {"forces": 0.2}), ({}, {"forces": 0.1}), ({}, {"forces": 0.1})
    )  # fmt: skip
    (text,) = said(advice_balance.dominating_terms, c)
    assert "of the loss in trial 0 (the default weights) and its score is 2.00 times" in text


def test_no_word_of_a_term_that_dominates_the_best(study):
    c = study(({}, {"forces": 0.2}), ({"esps": 1000.0}, {"forces": 0.1}))
    assert said(advice_balance.dominating_terms, c) == []


def set_gradients(c, norms):
    """Write the last measured gradient norms of the best trial."""
    folder = c.best.folder
    data = pd.read_parquet(folder / "balance.parquet")
    for name, norm in norms.items():
        data.loc[data["term"] == name, "weighted_norm"] = norm
    data.to_parquet(folder / "balance.parquet")
    return compare(read_sources([folder.parents[1]])[0])


def test_starved_terms_that_training_does_not_see_or_feels_all_the_same(study):
    few = {"esps": 1e-4}
    c = study((few, {"forces": 0.4}), (few, {"forces": 0.3}), (few, {"forces": 0.1}))
    (text,) = said(advice_balance.starved_terms, set_gradients(c, {"forces": 1.0, "esps": 0.001}))
    assert text == (
        "esps made up <0.1 % of the loss in the best trial and <0.1 % of the gradients in the "
        "best one: training hardly sees it. Try without it, or with a larger weight."
    )
    (text,) = said(advice_balance.starved_terms, set_gradients(c, {"forces": 3.0, "esps": 1.0}))
    assert "but 25 % of the gradients in the best one: a small value, yet training feels it" in text


def test_terms_are_not_starved_if_a_good_trial_feeds_them(study):
    few = {"esps": 1e-4}
    c = study(
        (few, {"forces": 0.4}), ({}, {"forces": 0.11}), (few, {"forces": 0.1}), ({}, {"forces": 9})
    )
    assert said(advice_balance.starved_terms, c) == []
    off = {"esps": 0.0}
    c = study((off, {"forces": 0.4}), (off, {"forces": 0.2}), (off, {"forces": 0.1}))
    assert said(advice_balance.starved_terms, c) == []


def test_raised_terms(study):
    c = study(({"esps": 1e-4}, {"forces": 0.4}), ({}, {"forces": 0.1}))
    (text,) = said(advice_balance.raised_terms, c)
    share = f"{100 * c.balance('1').shares['esps']:.0f} %"
    assert text == f"The default weights starve esps (<0.1 % of the loss; the best trial: {share})."
    assert (
        said(advice_balance.raised_terms, study(({}, {"forces": 0.4}), ({}, {"forces": 1}))) == []
    )


def set_cosine(c, value):
    path = c.best.folder / "balance.parquet"
    data = pd.read_parquet(path)
    data.loc[data["term"] == "forces", "cosine.esps"] = value
    data.to_parquet(path)
    return compare(read_sources([c.best.folder.parents[1]])[0])


def test_conflicts_and_parallel_terms(study):
    c = study(({}, {"forces": 0.4}), ({}, {"forces": 0.1}))
    (text,) = said(advice_balance.conflicts, set_cosine(c, -0.456))
    assert text == (
        "Gradients that pull against each other in trial 1, as last measured (epoch 4): forces "
        "against esps (cosine −0.46). More of the one costs the other."
    )
    (text,) = said(advice_balance.parallel_terms, set_cosine(c, 0.97))
    assert "trial 1, as last measured (epoch 4): forces and esps (cosine 0.97)" in text
    for rule in (advice_balance.conflicts, advice_balance.parallel_terms):
        assert said(rule, set_cosine(c, 0.1)) == []
        (c.best.folder / "balance.parquet").rename(c.best.folder / "kept")
        assert said(rule, compare(read_sources([c.best.folder.parents[1]])[0])) == []
        (c.best.folder / "kept").rename(c.best.folder / "balance.parquet")


def test_decisive_and_idle_weights(big):
    """The weight of forces makes forces and the energy; esps error is chance."""
    (text,) = said(advice_search.decisive_weights, big)
    score = big.importances.query("metric == 'score'").set_index("parameter")
    top = score["importance"].idxmax()
    assert f"by importance over 14 trials: the weight of {big.parameters[top]} (" in text
    idle = said(advice_search.idle_weights, big)
    expected = [k for k in score.index if score.loc[k, "importance"] < 0.05]
    assert len(idle) == bool(expected)
    assert all(f"the weight of {big.parameters[key]} (" in idle[0] for key in expected)


def test_the_rules_on_importance_are_silent_without_one(study):
    c = study(({}, {"forces": 0.2}), ({}, {"forces": 0.1}))
    for rule in (advice_search.decisive_weights, advice_search.idle_weights,
                 advice_search.range_of_the_best):  # fmt: skip
        assert said(rule, c) == []


def test_a_value_at_the_edge(study, make_space, tmp_path):
    weights = [{"forces": w, "esps": 2.0} for w in (1.0, 10.0, 95.0)]
    errors = [{"forces": e} for e in (0.3, 0.2, 0.1)]
    c = study(*zip(weights, errors, strict=True))
    assert said(advice_search.at_the_edge, c) == []  # nobody knows how far was searched
    ranges = {"loss.forces.weight": (1.0, 100.0), "loss.esps.weight": (0.1, 100.0)}
    make_space(tmp_path / "mine", ranges)
    (text,) = said(advice_search.at_the_edge, compare(read_sources([tmp_path / "mine"])[0]))
    assert text == (
        "The best value of the weight of forces, 95.0, lies at the upper end of its range (1 to "
        "100): a wider range may hold better ones."
    )
    c = study(*zip(weights, errors[::2] + errors[1:2], strict=True))
    assert said(advice_search.at_the_edge, c) == []


def test_values_on_which_the_best_agree(study, make_space, tmp_path):
    make_space(tmp_path / "mine", {"loss.forces.weight": (0.01, 100.0)})
    values = [100.0, 1.0, 2.0, 3.0, 0.01, 0.02]
    errors = [0.9, 0.1, 0.2, 0.3, 0.8, 0.7]
    c = study(*(({"forces": w}, {"forces": e}) for w, e in zip(values, errors, strict=True)))
    assert said(advice_search.range_of_the_best, c) == [
        "The three best trials agree on the weight of forces between 1.00 and 3.00 (searched: 0.01 "
        "to 100)."
    ]


def test_training_that_was_too_short(study):
    c = study(({}, {"forces": 0.2}), ({}, {"forces": 0.1}))
    (text,) = said(advice_search.still_falling, c)  # by 1.5 to 1
    assert "of trial 1 was still falling when training ended, by 33 % in the last 1 of 5" in text
    path = c.best.folder / "metrics.parquet"
    data = pd.read_parquet(path)
    data["score"] = 0.1
    data.to_parquet(path)
    assert said(advice_search.still_falling, c) == []
    path.write_bytes(b"")
    assert said(advice_search.still_falling, c) == []


def test_few_trials(big, study):
    (text,) = said(advice_search.few_trials, big)
    assert text.startswith("14 complete trials for three searched values: importances are rough")
    assert f"the best so far is trial {big.best.number}; the last one is 16" in text
    c = study(({}, {"forces": 0.1}, {"params": {}}))
    assert said(advice_search.few_trials, c) == []


def test_unfinished_and_failed_trials(big, study):
    (text,) = said(advice_search.unfinished_trials, big)
    assert text.startswith("1 running and 1 pruned: such trials have seen fewer epochs")
    (text,) = said(advice_search.failed_trials, big)
    assert text == ("1 of 17 trials failed; trial 15: epoch 1, batch 2: forces is not finite")
    c = study(({}, {"forces": 0.1}))
    for rule in (advice_search.unfinished_trials, advice_search.failed_trials):
        assert said(rule, c) == []


LIMITED = {"metrics": ["energy", "forces"], "statistic": "rmse", "constraints": {"forces": 1.05}}


def test_trials_that_break_a_constraint_are_not_ranked(study):
    limited = {"objective": LIMITED}
    c = study(
        ({}, {"energy": 0.4, "forces": 0.1}, limited),
        ({}, {"energy": 0.1, "forces": 0.12}, limited),
        ({}, {"energy": 0.2, "forces": 0.10}, limited),
    )
    assert c.ranked.index.tolist() == ["2", "0"]
    assert c.trials.index.tolist() == ["2", "0", "1"]
    assert c.best.number == 2
    assert c.rows["1"]["reason"] == "forces 1.20 times the default's, at most 1.05 allowed"
    assert said(advice_search.constraints, c) == [
        "1 of 3 complete trials break a constraint and are not ranked; trial 1: forces 1.20 times "
        "the default's, at most 1.05 allowed."
    ]
    assert "Trial 2 has the lowest score" in said(advice_errors.gain, c)[0]
    assert "1" not in set(c.fronts["trial"])


def test_no_trial_keeps_the_constraints(study):
    """As with a factor below 1, which asks for more than the default gives."""
    limited = {"objective": {**LIMITED, "constraints": {"forces": 0.5}}}
    c = study(({}, {"forces": 0.1}, limited), ({}, {"forces": 0.12}, limited))
    assert c.best is None
    assert c.ranked.empty
    assert {advice.rule for advice in advise(c)} == {"constraints"}


def test_a_trial_with_the_weights_of_another_is_not_ranked(study):
    c = study(({}, {"forces": 0.2}), ({}, {"forces": 0.1}), ({}, {"forces": 0.1}, {"same_as": 1}))
    assert c.ranked.index.tolist() == ["1", "0"]
    assert c.rows["2"]["reason"] == "same weights as trial 1"
    assert said(advice_errors.close_call, c) == []
    assert said(advice_search.constraints, c) == []


def test_several_objectives(study):
    both = {"objective": {**LIMITED, "constraints": {}, "minimize": ["energy", "forces"]}}
    errors = [(0.4, 0.1), (0.1, 0.4), (0.15, 0.15), (0.5, 0.5)]
    c = study(*(({}, {"energy": e, "forces": f}, both) for e, f in errors))
    assert said(advice_search.several_objectives, c) == [
        "The search minimises energy and forces. Three trials that no other beats in all of them: "
        "1, 2, 0. The best compromise, at the knee of this front, is trial 2."
    ]
    assert c.trade_off == ("energy", "forces")
    one = study(({}, {"energy": 0.1, "forces": 0.1}))
    assert said(advice_search.several_objectives, one) == []


@pytest.mark.parametrize(("scores", "level"), [((0.1, 0.11), "answer"), ((0.1, 0.9), "caution")])
def test_trainings_with_other_seeds(study, tmp_path, scores, level):
    study(({}, {"forces": 0.5}), ({}, {"forces": 0.1}), ({}, {"forces": 0.101}))
    for number, values in ((0, (0.5, 0.51)), (1, scores)):
        for seed, value in enumerate(values):
            source = tmp_path / "mine" / "trials" / f"{number:04d}" / "trial.json"
            content = json.loads(source.read_text())
            metrics = {"valid": {"score": value}, "test": {"score": value}}
            content |= {"seed": seed, "score": value, "metrics": metrics}
            target = tmp_path / "mine" / "confirm" / f"{number:04d}-seed{seed}"
            target.mkdir(parents=True, exist_ok=True)
            (target / "trial.json").write_text(json.dumps(content))
    c = compare(read_sources([tmp_path / "mine"])[0])
    advices = advice_search.confirmed(c)
    assert advices[0].level == level
    assert advices[0].text.startswith("Trial 1 beats the default by ")
    assert ("not beyond the noise" in advices[0].text) == (level == "caution")
    assert said(advice_errors.close_call, c) == []  # which asks for what has been done


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_stumbles(rule, big, study, tmp_path, make_trial):
    """Over a whole study, single trials, one trial, one that lacks everything, none at all."""
    rule(big)
    folders = [trial.folder for trial in list(big.source.study)[:4]]
    rule(compare(read_sources(folders)[0]))
    rule(study(({}, {"forces": 0.1})))
    bare = make_trial(9, metrics={}, stages=[], params={})
    for name in ("breakdown", "metrics", "balance"):
        (bare / f"{name}.parquet").unlink(missing_ok=True)
    rule(compare(read_sources([bare])[0]))
    (tmp_path / "none" / "trials").mkdir(parents=True)
    assert rule(compare(read_sources([tmp_path / "none"])[0])) == []


def test_the_answer_comes_first(big):
    advices = advise(big)
    order = [("answer", "caution", "hint").index(advice.level) for advice in advices]
    assert order == sorted(order)
    assert order.count(0) == 1
    assert len({advice.rule for advice in advices}) > 6
    assert all(advice.text[0] == advice.text[0].strip() for advice in advices)
    assert not any("nan" in advice.text.lower().split() for advice in advices)


def test_single_trials_are_called_by_their_folders(big):
    folders = [trial.folder for trial in list(big.source.study)[:4]]
    c = compare(read_sources(folders)[0])
    (text,) = said(advice_errors.gain, c)
    label = c.source.label(c.best)
    assert np.isfinite(c.value(label, "valid.score"))
    assert text.startswith(f"{label} has the lowest score")
    assert "with 0000 (" in text
