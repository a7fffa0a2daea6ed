"""The headline: which weights, what they gain, and what speaks against them."""

import pytest

from sweep.report.advice import errors, headline, search
from sweep.report.advice.rules import advise
from sweep.report.comparison.comparison import compare
from sweep.report.comparison.sources import read_sources

LIMITED = {"metrics": ["energy", "forces"], "statistic": "rmse", "constraints": {"forces": 1.05}}
BOTH = {"metrics": ["energy", "forces"], "statistic": "rmse", "minimize": ["energy", "forces"]}


def gained(comparison):
    (advice,) = headline.gain(comparison)
    assert advice.level == "answer"
    return advice.text


def test_what_the_best_gains_and_costs(study, numbers):
    c = study(({}, {"energy": 0.002, "forces": 0.1}), ({}, {"energy": 0.0024, "forces": 0.05}))
    text = gained(c)
    assert "Trial 1 has the lowest score" in text
    assert numbers(text) == [1, 0.0262, 0.051, -0.49, -0.49, -0.5, 0.2]
    assert text.index("Better") < text.index("forces") < text.index("Worse") < text.index("energy")


@pytest.mark.parametrize(
    ("trials", "words"),
    [
        ([({}, {"forces": 0.1}), ({}, {"forces": 0.2})], "does not beat the default weights"),
        ([({}, {"forces": 0.1}), *[({}, {"forces": 0.2})] * 2], "none of the 2 other"),
        ([({}, {"forces": 0.1})], "only one trial is complete"),
        ([({}, {"forces": 0.1}, {"state": "STOPPED"}), ({}, {"forces": 0.2})], "not complete"),
    ],
)
def test_where_there_is_no_gain(study, trials, words):
    assert words.lower() in gained(study(*trials)).lower()


def test_single_trials_are_called_by_their_folders(big):
    folders = [trial.folder for trial in list(big.source.study)[:4]]
    c = compare(read_sources(folders)[0])
    text = gained(c)
    assert text.startswith(c.source.label(c.best))
    assert "with 0000 (" in text


def test_published_weightings_are_ranked(study, said):
    c = study(
        ({}, {"forces": 0.1}),
        ({}, {"forces": 0.2}, {"role": "mace_mp"}),
        ({}, {"forces": 0.08}, {"role": "aimnet2"}),
        ({}, {"forces": 0.05}),
    )
    (text,) = said(headline.recipes, c)
    assert text.startswith("On your data: aimnet2's ratios (trial 2), ")
    assert text.index("better than your default; mace_mp's ratios (trial 1), ") > 0
    assert "worse than your default. The best trial of the study is " in text
    assert list(c.source.study.recipes) == ["mace_mp", "aimnet2"]
    assert c.trials.loc["2", "role"] == "aimnet2"


def test_what_nobody_asked_for_does_not_lead(study):
    asked = {"objective": {"metrics": ["forces"], "statistic": "rmse"}}
    c = study(
        ({}, {"forces": 0.2, "dipole": 0.4, "energy": 0.1}, asked),
        ({}, {"forces": 0.1, "dipole": 0.1, "energy": 0.3}, asked | {"score": 0.05}),
    )
    text = gained(c)
    assert "Better: forces −50 %." in text
    assert text.endswith("Not in the objective: dipole −75 %, energy +200 %.")


def test_a_contradiction_of_the_test_set_is_the_gained(study, numbers):
    """Validation says −41 %, the test set +174 %."""
    valid = {"score": 0.059, "rmse_forces": 0.059, "rmse_energy": 0.1}
    test = {"score": 0.3, "rmse_forces": 0.301, "rmse_energy": 0.1}
    better = {"score": 0.059, "metrics": {"valid": valid, "test": test}}
    base = {"forces": 0.1, "energy": 0.1}
    c = study(({}, base), ({}, base, better), ({}, {"forces": 0.3, "energy": 0.3}))
    text = gained(c)
    first = text.split(". ")[0]
    assert "contradict" in first
    assert "forces −41 % on validation but +174 % on the test set" in first
    assert set(headline.contradictions(c)) == {"score", "forces"}
    assert not any("agrees" in advice.text for advice in advise(c))


def test_data_sets_that_agree_are_no_contradiction(study):
    c = study(({}, {"forces": 0.2}), ({}, {"forces": 0.1}))
    assert headline.contradictions(c) == {}
    assert "contradict" not in gained(c)


# Constraints


def test_the_constraint_that_blocks_and_the_closest_trial(study, numbers):
    limited = {"objective": {**LIMITED, "constraints": {"energy": 2.0, "forces": 1.05}}}
    c = study(
        ({}, {"energy": 0.4, "forces": 0.10}, limited),
        ({}, {"energy": 0.1, "forces": 0.20}, limited),
        ({}, {"energy": 0.2, "forces": 0.109}, limited),
        ({}, {"energy": 0.9, "forces": 0.10}, limited),
    )
    text = gained(c)
    assert "within forces ≤ 1.05 × default beats the default" in text
    assert "energy" not in text  # which keeps nothing better out
    assert "the closest is trial 2 (forces 1.09 ×, score −38 %), `--trial 2` exports it" in text


def test_the_default_itself_breaks_a_limit(study):
    limited = {"objective": {**LIMITED, "constraints": {"forces": 0.9}}}
    c = study(
        ({}, {"energy": 0.1, "forces": 0.10}, limited),
        ({}, {"energy": 0.9, "forces": 0.05}, limited),
    )
    (advice,) = headline.gain(c)
    assert (
        "has the lowest score of the trials within forces ≤ 0.9 × default, which the default "
        "weights are not: "
    ) in advice.text


def test_no_trial_keeps_the_constraints(study):
    """As with a factor below 1, which asks for more than the default gives."""
    limited = {"objective": {**LIMITED, "constraints": {"forces": 0.5}}}
    c = study(({}, {"forces": 0.1}, limited), ({}, {"forces": 0.08}, limited))
    assert c.best is None
    assert c.ranked.empty
    text = gained(c)
    assert "keeps forces ≤ 0.5 × default" in text
    assert "closest is trial 1 (forces 0.800 ×, score −20 %)" in text


def test_no_word_of_the_end_of_a_range_where_the_default_is_best(study, make_space, tmp_path):
    study(({"forces": 100.0}, {"forces": 0.1}), ({"forces": 1.0}, {"forces": 0.2}))
    make_space(tmp_path / "mine", {"loss.forces.weight": (0.01, 100.0)}, ("forces",))
    c = compare(read_sources([tmp_path / "mine"])[0])
    assert c.best.number == 0
    assert search.at_the_edge(c) == []


# Several objectives


def test_the_answer_of_several_objectives_is_the_knee(study, said):
    """The trial with the smallest score is beaten by none in both, but is no compromise."""
    both = {"objective": BOTH}
    values = [(0.4, 0.1, 0.2), (0.1, 0.4, 0.1), (0.15, 0.15, 0.15), (0.5, 0.5, 0.05)]
    c = study(*(({}, {"energy": e, "forces": f}, both | {"score": s}) for e, f, s in values))
    assert c.best.number == 2
    assert c.ranked.index.tolist()[0] == "2"
    assert c.ranked.index.tolist()[-1] == "3"  # beaten by others, whatever its score
    assert c.rows["2"]["role"] == "knee"
    assert "best" not in set(c.trials["role"])
    text = gained(c)
    assert "Trial 2 is the knee of the front of energy and forces" in text
    assert "Better: energy" in text
    assert "Worse: forces" in text
    (told,) = said(headline.several_objectives, c)
    assert "Three trials that no other beats in all of them: 1, 2, 0" in told
    assert c.trade_off == ("energy", "forces")


def test_a_front_without_a_knee_says_so(study, said):
    both = {"objective": BOTH}
    c = study(
        ({}, {"energy": 0.4, "forces": 0.1}, both), ({}, {"energy": 0.1, "forces": 0.2}, both)
    )
    assert (c.best.number, c.best_role) == (1, "best")
    assert "lowest score on the front of energy and forces" in gained(c)
    assert "has no knee" in said(headline.several_objectives, c)[0]


def test_one_objective_has_no_front(study, said):
    assert said(headline.several_objectives, study(({}, {"energy": 0.1, "forces": 0.1}))) == []


# Trainings with other seeds


@pytest.fixture
def confirmed(study, train_again, tmp_path):
    """A search that trial 1 wins, and the scores of trainings with other seeds."""

    def make(default, best):
        study(({}, {"forces": 0.5}), ({}, {"forces": 0.1}), ({}, {"forces": 0.101}))
        train_again(0, default)
        train_again(1, best)
        return compare(read_sources([tmp_path / "mine"])[0])

    return make


def test_a_gain_that_the_seeds_show(confirmed, numbers):
    c = confirmed((0.50, 0.52, 0.48), (0.40, 0.41, 0.39))
    text = gained(c)
    assert "beats the default weights" in text
    assert "beyond the noise" in text
    assert numbers(text)[:5] == [1, 0.4, 0.01, 0.5, 0.02]  # means and spreads, not the search's
    assert "forces −20 %" in text
    assert errors.close_call(c) == []  # which asks for what has been done
    measure = next(row for row in c.answer if row.metric.key == "forces").measures["best"]
    assert measure.value == pytest.approx(400.0)
    assert measure.deviation == pytest.approx(10.0)


def test_a_gain_that_the_seeds_cannot_show(confirmed):
    c = confirmed((0.3, 0.5), (0.1, 0.2))
    text = gained(c)
    assert "looks better" in text
    assert "but two seeds cannot show it (p = 0.099): search.confirm.seeds=4 would" in text
    assert "beats" not in text.split(".")[0]


def test_a_gain_that_is_none(confirmed):
    text = gained(confirmed((0.2, 0.22), (0.3, 0.32)))
    assert "no better than the default weights with other seeds" in text


def test_seeds_and_several_objectives(study, train_again, tmp_path, numbers):
    """Each objective is tested; one seed's score says nothing of a front."""
    both = {"objective": BOTH}
    values = [(0.4, 0.1), (0.1, 0.4), (0.15, 0.15)]
    study(*(({}, {"energy": e, "forces": f}, both) for e, f in values))
    train_again(0, (0.40, 0.41), rmse_energy=(0.40, 0.41), rmse_forces=(0.1, 0.11))
    train_again(2, (0.15, 0.16), rmse_energy=(0.15, 0.16), rmse_forces=(0.09, 0.119))
    c = compare(read_sources([tmp_path / "mine"])[0])
    text = gained(c)
    assert "Trial 2, the knee of the front, over two other seeds" in text
    assert "energy 155 ± 7.1 against 405 ± 7.1 meV/atom (−62 %, p = " in text
    assert "two seeds cannot show the gain in forces: nor would 20" in text
    assert c.confirmation.is_beyond_noise  # in one of them


def test_luck_in_the_search_is_seen(confirmed, said):
    c = confirmed((0.60, 0.62, 0.58), (0.40, 0.41, 0.39))
    told = said(headline.confirmed, c)
    assert any(text.startswith("The default was lucky in the search") for text in told)
    assert any(text.startswith("Trial 1 was lucky") for text in told)
    assert all(advice.level == "caution" for advice in headline.confirmed(c))
    for default in ((0.50, 0.52, 0.48), (0.51, 0.55, 0.53)):  # within two deviations
        told = said(headline.confirmed, confirmed(default, (0.10, 0.11, 0.09)))
        assert not any("lucky" in text for text in told)
    told = said(headline.confirmed, confirmed((0.40, 0.41, 0.39), (0.10, 0.11, 0.09)))
    assert any(text.startswith("The default was unlucky") for text in told)
