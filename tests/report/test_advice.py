"""Every rule of advice speaks where the numbers give reason to, with them, and only there."""

import json

import pandas as pd
import pytest

from sweep.report.advice import errors as advice_errors
from sweep.report.advice import headline as advice_headline
from sweep.report.advice import search as advice_search
from sweep.report.advice import training as advice_training
from sweep.report.advice.rules import RULES, advise
from sweep.report.comparison.comparison import compare
from sweep.report.comparison.sources import read_sources


def test_worse_metrics_name_another_trial(study, said, numbers):
    c = study(
        ({}, {"energy": 0.4, "forces": 0.1}),
        ({}, {"energy": 0.1, "forces": 0.12}),
        ({}, {"energy": 0.14, "forces": 0.09}),
    )
    (text,) = said(advice_errors.worse_metrics, c)
    worse, other = text.split("). ")
    assert worse.startswith("Forces")
    assert numbers(worse) == [0.2, 120, 100, 0.2]
    assert numbers(other) == [2, 90.0, -0.1, 0.045]


def test_worse_metrics_without_an_alternative(study, said, numbers):
    c = study(({}, {"energy": 0.4, "forces": 0.1}), ({}, {"energy": 0.1, "forces": 0.12}))
    (text,) = said(advice_errors.worse_metrics, c)
    assert numbers(text) == [0.2, 120, 100, 0.2]  # and no other trial
    c = study(({}, {"energy": 0.4, "forces": 0.1}), ({}, {"energy": 0.1, "forces": 0.1}))
    assert said(advice_errors.worse_metrics, c) == []


@pytest.mark.parametrize(("share", "n_sentences"), [(0.9, 1), (0.3, 0), (None, 0)])
def test_steps_that_are_clipped(study, said, numbers, share, n_sentences):
    valid = {"score": 0.1, "rmse_forces": 0.1, **({} if share is None else {"clipped": share})}
    best = {"score": 0.1, "metrics": {"valid": valid}, "clip_grad": 10.0}
    texts = said(
        advice_training.clipped_steps, study(({}, {"forces": 0.4}), ({}, {"forces": 0.1}, best))
    )
    assert len(texts) == n_sentences
    for text in texts:
        assert numbers(text)[:3] == [1, 0.9, 10]


def test_the_clipping_that_acted_is_named(study, said):
    best = {"score": 0.1, "metrics": {"valid": {"score": 0.1, "rmse_forces": 0.1, "clipped": 0.9}}}
    for limits, key in (
        ({"clip_grad": None, "clip_median": 3.0}, "clip_median=3)"),
        ({"clip_grad": 10.0, "clip_median": 3.0}, "clip_median=3)"),
        ({"clip_grad": 10.0, "clip_median": None}, "clip_grad=10)"),
    ):
        c = study(({}, {"forces": 0.4}), ({}, {"forces": 0.1}, {**best, **limits}))
        (text,) = said(advice_training.clipped_steps, c)
        assert key in text
        assert f"trainer.{key.split('=')[0]}=tag(log," in text


def test_stages_that_begin_with_a_jump(study, said, numbers):
    switch = {"stage": "late", "epoch": 7, "gradient": 50.0, "steps": 4.5, "is_jump": True}
    best = {"switches": [switch, {**switch, "is_jump": False}]}
    c = study(({}, {"forces": 0.4}), ({}, {"forces": 0.1}, best))
    (text,) = said(advice_training.jumps_between_stages, c)
    assert "stage late" in text
    assert numbers(text) == [1, 50, 4.5]


@pytest.mark.parametrize(("test_score", "level"), [(0.1, "hint"), (0.5, "caution")])
def test_the_test_set(study, test_score, level, numbers):
    valid = {"score": 0.1, "rmse_forces": 0.1}
    best = {"score": 0.1, "metrics": {"valid": valid, "test": {"score": test_score}}}
    c = study(({}, {"forces": 0.4}), ({}, {"forces": 0.3}), ({}, {"forces": 0.1}, best))
    (advice,) = advice_errors.test_set(c)
    assert advice.level == level
    if level == "hint":
        assert "agrees" in advice.text
        assert numbers(advice.text) == [2, 3, 1.0]
    else:
        assert numbers(advice.text)[:4] == [1, 2, 3, 0.52]


def test_the_test_set_of_several_objectives(study, said):
    """The score decides nothing there."""
    both = {
        "objective": {"metrics": ["energy"], "statistic": "rmse", "minimize": ["energy", "forces"]}
    }
    values = [(0.4, 0.1), (0.1, 0.4), (0.15, 0.15)]
    trials = [({}, {"energy": e, "forces": f}, dict(both)) for e, f in values]
    (advice,) = advice_errors.test_set(study(*trials))
    assert (advice.level, "no trial beats trial 2" in advice.text) == ("hint", True)
    valid = {"score": 0.1, "rmse_energy": 0.15, "rmse_forces": 0.15}
    trials[2][2]["metrics"] = {"valid": valid, "test": {"rmse_energy": 0.5, "rmse_forces": 0.5}}
    (advice,) = advice_errors.test_set(study(*trials))
    assert advice.level == "caution"
    assert "trial 0 (the default weights) and trial 1 beat trial 2 in all" in advice.text
    for rule in (advice_errors.close_call, advice_headline.one_training):
        assert said(rule, study(*trials)) == []


def test_a_close_call(study, said):
    c = study(({}, {"forces": 0.1}), ({}, {"forces": 0.101}), ({}, {"forces": 0.12}))
    (text,) = said(advice_errors.close_call, c)
    assert text.startswith("Trial 1 is within 1.0 %")
    assert said(advice_errors.close_call, study(({}, {"forces": 0.1}), ({}, {"forces": 0.2}))) == []


def test_one_training(study, said):
    c = study(
        ({}, {"forces": 0.4}), ({}, {"forces": 0.2}, {"role": "balanced"}), ({}, {"forces": 0.1})
    )
    (text,) = said(advice_headline.one_training, c)
    assert "(trial 1): score 0.200 instead of 0.400 with the default weights (−50 %)" in text
    assert "50 % of the way to the best" in text


def test_an_error_beyond_the_spread_of_the_data(study, said, numbers):
    scales = {"scales": {"forces": 0.05, "energy": 1.0, "esps": 0.0, "dipole": "1"}}
    errors = {"forces": 0.1, "energy": 0.9, "esps": 0.1, "dipole": 2.0}
    (text,) = said(advice_errors.beyond_spread, study(({}, errors, scales)))
    assert numbers(text) == [0, 100, 50.0, 2.0]
    assert "energy" not in text
    assert said(advice_errors.beyond_spread, study(({}, errors))) == []


def test_decisive_and_idle_weights(big, said):
    """The weight of forces makes forces and the energy; esps error is chance."""
    (text,) = said(advice_search.decisive_weights, big)
    score = big.importances.query("metric == 'score'").set_index("parameter")
    top = score["importance"].idxmax()
    assert f"by importance over 14 trials: the weight of {big.parameters[top]} (" in text
    idle = said(advice_search.idle_weights, big)
    expected = [k for k in score.index if score.loc[k, "importance"] < 0.05]
    assert len(idle) == bool(expected)
    assert all(f"the weight of {big.parameters[key]} (" in idle[0] for key in expected)


def test_the_rules_on_importance_are_silent_without_one(study, said):
    c = study(({}, {"forces": 0.2}), ({}, {"forces": 0.1}))
    for rule in (advice_search.decisive_weights, advice_search.idle_weights,
                 advice_search.range_of_the_best):  # fmt: skip
        assert said(rule, c) == []


def test_a_value_at_the_edge(study, make_space, tmp_path, said, numbers):
    weights = [{"forces": w, "esps": 2.0} for w in (1.0, 10.0, 95.0)]
    errors = [{"forces": e} for e in (0.3, 0.2, 0.1)]
    c = study(*zip(weights, errors, strict=True))
    assert said(advice_search.at_the_edge, c) == []  # nobody knows how far was searched
    ranges = {"loss.forces.weight": (1.0, 100.0), "loss.esps.weight": (0.1, 100.0)}
    make_space(tmp_path / "mine", ranges, ("forces",))
    (text,) = said(advice_search.at_the_edge, compare(read_sources([tmp_path / "mine"])[0]))
    assert "the weight of forces" in text
    assert "upper end" in text
    assert numbers(text) == [95.0, 1, 100]
    c = study(*zip(weights, errors[::2] + errors[1:2], strict=True))
    assert said(advice_search.at_the_edge, c) == []


def test_static_weights_beyond_the_ranges(study, make_space, tmp_path, said, numbers):
    weights = [{"forces": w, "esps": 2.0} for w in (1.0, 10.0, 950.0)]
    study(*zip(weights, [{"forces": e} for e in (0.3, 0.2, 0.1)], strict=True))
    ranges = {"loss.forces.weight": (1.0, 100.0), "loss.esps.weight": (0.1, 100.0)}
    make_space(tmp_path / "mine", ranges, ("forces",))
    path = tmp_path / "mine" / "trials" / "0002" / "trial.json"
    for params in ({}, {"loss.forces.weight": 950.0}):
        path.write_text(
            json.dumps({**json.loads(path.read_text()), "role": "static", "params": params})
        )
        c = compare(read_sources([tmp_path / "mine"])[0])
        found = said(advice_search.beyond_the_ranges, c)
        assert [numbers(text) for text in found] == ([] if params else [[950, 1, 100]])


def test_values_on_which_the_best_agree(study, make_space, tmp_path, said, numbers):
    make_space(tmp_path / "mine", {"loss.forces.weight": (0.01, 100.0)}, ("forces",))
    values = [100.0, 1.0, 2.0, 3.0, 0.01, 0.02]
    errors = [0.9, 0.1, 0.2, 0.3, 0.8, 0.7]
    c = study(*(({"forces": w}, {"forces": e}) for w, e in zip(values, errors, strict=True)))
    (text,) = said(advice_search.range_of_the_best, c)
    assert "the weight of forces" in text
    assert numbers(text) == [1.0, 3.0, 0.01, 100]


def test_training_that_was_too_short(study, said):
    c = study(({}, {"forces": 0.2}), ({}, {"forces": 0.1}))
    (text,) = said(advice_training.still_falling, c)  # by 1.5 to 1
    assert "of trial 1 was still falling when training ended, by 33 % in the last 1 of 5" in text
    path = c.best.folder / "metrics.parquet"
    data = pd.read_parquet(path)
    data["score"] = 0.1
    data.to_parquet(path)
    assert said(advice_training.still_falling, c) == []
    path.write_bytes(b"")
    assert said(advice_training.still_falling, c) == []


def test_few_trials(big, study, said):
    (text,) = said(advice_search.few_trials, big)
    n_inside = sum(bool(trial.params) for trial in big.source.study.complete)
    assert text.startswith(
        f"{n_inside} complete trials in the search space for three searched values: importances"
    )
    assert f"the best so far is trial {big.best.number}; the last one is 16" in text
    c = study(({}, {"forces": 0.1}, {"params": {}}))
    assert said(advice_search.few_trials, c) == []


def test_trials_outside_the_search_space_do_not_count_as_searched(study, said):
    inside = {"params": {"loss.forces.weight": 2.0}}
    outside = {"params": {}}
    c = study(
        ({}, {"forces": 0.3}, inside),
        ({}, {"forces": 0.2}, {**outside, "role": "balanced"}),
        ({}, {"forces": 0.2}, {**outside, "role": "static"}),
        ({}, {"forces": 0.1}, inside),
    )
    (text,) = said(advice_search.few_trials, c)
    assert text.startswith("Two complete trials in the search space for one searched value")


def test_unfinished_and_failed_trials(big, study, said):
    (text,) = said(advice_search.unfinished_trials, big)
    assert text.startswith("1 running and 1 pruned")
    (text,) = said(advice_search.failed_trials, big)
    assert text.startswith("1 of 17 trials failed")
    assert text.endswith("epoch 1, batch 2: forces is not finite")
    c = study(({}, {"forces": 0.1}))
    for rule in (advice_search.unfinished_trials, advice_search.failed_trials):
        assert said(rule, c) == []


LIMITED = {"metrics": ["energy", "forces"], "statistic": "rmse", "constraints": {"forces": 1.05}}


def test_trials_that_break_a_constraint_are_not_ranked(study, said):
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
    (text,) = said(advice_search.constraints, c)
    assert text.startswith("1 of 3 complete trials break a constraint")
    assert c.rows["1"]["reason"] in text
    assert "1" not in set(c.fronts["trial"])


def test_a_trial_with_the_weights_of_another_is_not_ranked(study, said):
    c = study(({}, {"forces": 0.2}), ({}, {"forces": 0.1}), ({}, {"forces": 0.1}, {"same_as": 1}))
    assert c.ranked.index.tolist() == ["1", "0"]
    assert c.rows["2"]["reason"] == "same weights as trial 1"
    assert said(advice_errors.close_call, c) == []
    assert said(advice_search.constraints, c) == []


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
    assert order.count(0) == 2  # what one training reaches, and what the search does
    assert len({advice.rule for advice in advices}) > 6
    assert all(advice.text[0] == advice.text[0].strip() for advice in advices)
    assert not any("nan" in advice.text.lower().split() for advice in advices)
