"""The note of a trial."""

from sweep.records import Trial
from sweep.report.dashboard.note import trial_note


def test_a_complete_trial(make_trial):
    default = Trial.read(make_trial(0, role="default"))
    trial = Trial.read(make_trial(1, role="balanced", factor=0.8))
    lines = trial_note(trial, default, "/artifacts/0/1/a").splitlines()
    assert lines[0] == "## trial 1: balanced weights, complete"
    assert "| score | 0.160 (−20 %) | 0.200 (−20 %) |" in lines
    assert "| energy (meV/atom) | 1.20 (−20 %) | 1.50 (−20 %) |" in lines
    assert "| forces | 100 | 55 % |" in lines
    assert lines[-1] == "![weighted terms at every training batch](/artifacts/0/1/a)"


def test_the_default_is_compared_with_nothing(make_trial):
    default = Trial.read(make_trial(0, role="default"))
    for other in (default, None):
        assert "| forces (meV/Å) | 50.0 | 62.5 |" in trial_note(default, other)


def test_a_failed_trial_says_why(make_trial):
    reason = "epoch 0, batch 1: <b>|x|</b>\nis not finite"
    trial = Trial.read(make_trial(4, state="FAILED", score=None, metrics={}, reason=reason))
    text = trial_note(trial, None)
    assert "## trial 4: failed" in text
    assert "**Reason:** epoch 0, batch 1: &lt;b>\\|x\\|&lt;/b> is not finite" in text


def test_a_copy_says_of_what(make_trial):
    assert "The weights of trial 2" in trial_note(Trial.read(make_trial(5, same_as=2)), None)
