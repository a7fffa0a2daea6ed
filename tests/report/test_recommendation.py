"""After trainings with other seeds headline, weights, files and exports say the same."""

import json

import pytest

from sweep.export.hydra import as_json
from sweep.export.winner import select
from sweep.records.study import Study
from sweep.report.advice.headline import gain, one_training
from sweep.report.comparison.comparison import compare
from sweep.report.comparison.sources import study_source
from sweep.report.confirmation import read_confirmation
from sweep.report.page.page import render_page
from sweep.report.recommendation import recommend
from sweep.report.summary import write_confirmation, write_summary
from sweep.report.terminal.answer import print_study
from sweep.report.terminal.comparison import show_comparisons

ROLES = ("default", "balanced", None)
FAR, NEAR = [0.50, 0.52, 0.48], [0.49, 0.53, 0.46]


@pytest.fixture
def confirmed(study, train_again, tmp_path):
    """A search whose trial 2 wins, and what trainings with other seeds give for all its trials."""

    def make(*repeated, scores=(1.0, 0.6, 0.5)):
        study(*(
            ({"forces": 1.0 + number}, {"score": score, "forces": score},
             {"role": role, "score": score})
            for number, (score, role) in enumerate(zip(scores, ROLES, strict=True))
        ))  # fmt: skip
        for number, values in enumerate(repeated):
            train_again(number, values)
        found = Study.read(tmp_path / "mine")
        return found, read_confirmation(found)

    return make


@pytest.mark.parametrize(
    ("repeated", "words"),
    [
        pytest.param(([0.4, 0.42, 0.41], FAR, FAR), [(0, "the default weights")], id="default"),
        pytest.param((FAR, [0.2, 0.21, 0.22], [0.3, 0.31, 0.32]), [(1, "move")], id="another"),
        pytest.param((FAR, FAR, NEAR), ["cannot be told from the default"], id="noise"),
        pytest.param(([0.5], [0.45], [0.4]), ["cannot be told from the default"], id="one seed"),
        pytest.param((FAR, FAR, [0.1, 0.11, 0.12]), [], id="holds"),
    ],
)
def test_one_answer_everywhere(confirmed, repeated, words, capsys, numbers):
    found, confirmation = confirmed(*repeated)
    answer = recommend(found, confirmation)
    assert answer.trial.number == 2
    write_summary(found, confirmation)
    write_confirmation(confirmation)
    head = (found.folder / "best_loss.yaml").read_text().split("loss:")[0]
    print_study(found, confirmation)
    printed = " ".join(capsys.readouterr().out.split())
    c = compare(study_source(found))
    page = render_page([c], {}, folders={"mine": "mine"})
    if not words:
        assert answer.caveat is None
        assert answer.name == "best weights"
        assert "other seeds" not in head
        assert select(found.folder, None).caveat is None
        assert "Use these weights" in page
        return
    assert answer.name == "best weights of the search"
    for word in words:
        if isinstance(word, tuple):
            assert f"trial {word[0]} (" in answer.caveat
            assert word[1] in answer.caveat
            means = numbers(answer.caveat)[1:]
            assert means[0] == pytest.approx(sum(repeated[word[0]]) / 3, rel=0.01)
            assert means[2] == pytest.approx(sum(repeated[2]) / 3, rel=0.01)
        else:
            assert word in answer.caveat
    assert f"# {answer.caveat}\n" in head
    assert printed.index("best weights of the search, trial 2") < printed.index(answer.caveat)
    assert answer.caveat in page
    assert "Use these weights" not in page
    assert answer.caveat in select(found.folder, None).comments()
    assert answer.caveat in select(found.folder, 2).comments()
    assert json.loads(as_json(select(found.folder, None)))["caveat"] in answer.caveat.replace(
        "With", "with"
    )


def test_comments_of_every_confirmed_trial(confirmed):
    """Not only the best of the search can be one that another beats."""
    found, confirmation = confirmed(FAR, [0.2, 0.21, 0.22], [0.3, 0.31, 0.32])
    write_confirmation(confirmation)
    assert "trial 1" in select(found.folder, 0).caveat
    assert select(found.folder, 1).caveat is None
    path = found.folder / "confirmation.json"
    for damaged in ({}, {"candidates": 3}, {"candidates": [None, {"trial": 2, "caveat": 1}]}):
        path.write_text(json.dumps(damaged))
        assert select(found.folder, 2).caveat is None
    path.write_text("[]")
    assert select(found.folder, 2).caveat is None


def test_a_default_that_other_seeds_overtake(confirmed):
    """The search found nothing better; the sentence says that its confirmation did."""
    found, confirmation = confirmed(
        FAR, [0.2, 0.21, 0.22], [0.6, 0.61, 0.62], scores=(0.5, 0.6, 0.7)
    )
    assert recommend(found, confirmation).trial.number == 0
    (text,) = (advice.text for advice in gain(compare(study_source(found))))
    assert text.startswith("None of the 2 other complete trials beats")
    assert "With other seeds trial 1 (weights that move while it trains) has the better" in text


def test_what_one_training_reaches_is_that_of_the_other_seeds(confirmed, said, numbers):
    found, _ = confirmed(FAR, [0.6, 0.62, 0.64], [0.4, 0.41, 0.39])
    (text,) = said(one_training, compare(study_source(found)))
    assert "way to the best" not in text
    assert numbers(text)[1:] == [0.62, 0.02, 0.5, 0.02, 0.24]
    found, _ = confirmed(FAR, [0.44, 0.45, 0.46], [0.4, 0.41, 0.39])
    (text,) = said(one_training, compare(study_source(found)))
    assert numbers(text)[1:] == [0.45, 0.01, 0.5, 0.02, -0.1, 0.47]


def test_compare_prints_the_same(confirmed, said):
    from rich.console import Console

    found, _ = confirmed(FAR, FAR, NEAR)
    console = Console(width=200, record=True)
    console.print(show_comparisons([compare(study_source(found))], n_rows=5))
    text = " ".join(console.export_text().split())
    assert "the best weights of the search, trial 2: With other seeds these weights cannot" in text
