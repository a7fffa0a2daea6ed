"""The comparison in the terminal."""

import io
import re

import pytest
from rich.console import Console

from sweep.records import Study
from sweep.records.weights_file import loss_block
from sweep.report.comparison.comparison import compare
from sweep.report.comparison.sources import read_sources
from sweep.report.terminal.answer import print_study, print_trial
from sweep.report.terminal.comparison import show_comparisons


def printed(*comparisons, n_rows=15, width=120):
    console = Console(file=io.StringIO(), width=width)
    console.print(show_comparisons(comparisons, n_rows=n_rows))
    return console.file.getvalue()


def rows(text):
    return [
        [cell.strip() for cell in re.split("[│┃]", line)[1:-1]]
        for line in text.splitlines()
        if line.startswith(("│", "┃"))
    ]


def test_trials_in_the_order_of_their_scores(big):
    table = rows(printed(big))
    shown = [row[0] for row in table if row[0].isdigit()][:17]
    assert shown == [str(label) for label in big.trials.index[: len(shown)]]
    default = next(row for row in table if row[:2] == ["0", "default"])
    assert float(default[4]) == pytest.approx(big.value("0", "valid.forces"), rel=0.01)
    best = next(row for row in table if row[1] == "best")
    value, change = best[2].split()
    assert float(value) == pytest.approx(big.value(best[0], "valid.score"), rel=0.01)
    expected = 100 * big.value(best[0], "valid.score.change")
    assert float(change.replace("−", "-").strip("%")) == pytest.approx(expected, abs=0.6)
    assert next(row for row in table if row[0] == "16")[1] == "running 2"


def test_references_are_listed_however_few_rows_there_are(big):
    text = printed(big, n_rows=1)
    assert {"0", "1", str(big.trials.index[0])} <= {row[0] for row in rows(text)}
    assert "14 more in trials.csv" in text


def test_balance_advice_and_weights(big):
    text = printed(big)
    assert "share of the loss in the last epoch" in text
    balance = big.balance("0")
    assert f"{balance.effective_terms:.1f} of {len(balance.active)}" in text
    assert "before you rely on it:" in text
    assert "what the numbers say:" in text
    assert f"the best weights, trial {big.source.label(big.best)}:" in text
    for line in loss_block(big.best.stages).splitlines():
        assert f"    {line}" in text


def test_the_what_if_is_labelled(big_study):
    c = compare(read_sources([big_study])[0], weights={"esps": 4.0})
    text = printed(c)
    assert "what if esps = 4: share as recorded → with these weights" in text
    assert "Nothing was trained with them" in text
    one = c.what_if[0]
    cell = f"{100 * one.recorded.shares['esps']:.0f} % → {100 * one.changed.shares['esps']:.0f} %"
    assert cell in text


def test_names_steer_neither_rich_nor_the_terminal(make_study):
    term = "[red]e\x1b[31m\x07[/red]"
    study = make_study("s[bold]", n_trials=2, terms=("forces", term))
    text = printed(compare(read_sources([study])[0]))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[red]e�[31m�[/red]" in text
    assert "study s[bold]" in text


def test_folders_that_were_left_out(tmp_path, make_trial):
    make_trial(0)
    (make_trial(1) / "trial.json").write_text("{")
    assert "0001/trial.json: not valid JSON" in printed(
        compare(read_sources([tmp_path])[0]), width=300
    )


def test_an_empty_study(tmp_path):
    (tmp_path / "mine" / "trials").mkdir(parents=True)
    assert printed(compare(read_sources([tmp_path / "mine"])[0])).strip() == "study mine: 0 trials"


def test_the_printed_answer_shows_names_as_they_are(make_study, capsys):
    """As of a study called a[red]b, in a folder [/b]; an ESC steers no terminal."""
    term = "[red]e\x1b[31m[/red]"
    folder = make_study("[/b]/a[red]b", n_trials=2, terms=("forces", term, "esps"))
    print_study(Study.read(folder))
    print_trial(folder / "trials" / "0000")
    out = capsys.readouterr().out
    assert "study a[red]b" in out
    assert str(folder) in out.replace("\n", "")
    assert "[red]e�[31m[/red]" in out
    assert "\x1b" not in out


def test_trials_that_are_not_ranked_are_marked_with_the_digits_that_show_why(study, capsys):
    objective = {"metrics": ["energy"], "statistic": "rmse", "constraints": {"forces": 1}}
    limited = {"objective": objective}
    c = study(
        ({}, {"energy": 0.4, "forces": 0.1}, limited),
        ({}, {"energy": 0.1, "forces": 0.100004}, {**limited, "role": "balanced"}),
        ({}, {"energy": 0.2, "forces": 0.1}, limited),
        ({}, {"energy": 0.2, "forces": 0.1}, {**limited, "same_as": 2}),
        ({}, {"energy": 0.3, "forces": 0.12}, limited),
        ({}, {"energy": 0.5, "forces": 0.1}, limited),
    )
    table = {row[0]: row for row in rows(printed(c)) if len(row) == 5}
    assert [table[n][1] for n in "012345"] == [
        "default", "balanced, beyond a limit", "best", "as trial 2", "beyond a limit", "",
    ]  # fmt: skip
    column = [row[4] for row in table.values() if row[0].isdigit()]
    assert sorted(column) == sorted(
        ["100", "100.004 +0.0040%", "100 ±0%", "100 ±0%", "120 +20%", "100 ±0%"]
    )
    print_study(c.source.study)
    (head,) = (row for row in rows(capsys.readouterr().out) if "beyond a limit" in row)
    assert head[3:] == ["trial 0", "beyond a limit", "trial 2"]


def test_the_closest_trial_is_shown_beyond_the_limit(study):
    objective = {"metrics": ["energy"], "statistic": "rmse", "constraints": {"forces": 1}}
    limited = {"objective": objective}
    c = study(
        ({}, {"energy": 0.4, "forces": 0.1}, limited),
        ({}, {"energy": 0.1, "forces": 0.100004}, limited),
    )
    assert "the closest is trial 1 (forces 1.00004 ×, " in " ".join(printed(c, width=200).split())
    assert c.rows["1"]["reason"] == "forces 1.00004 times the default's, at most 1 allowed"
