"""Which trial is exported."""

import pytest

from sweep.errors import InputError
from sweep.export.winner import select
from sweep.files import write_json


class TestSelect:
    def test_the_best_is_the_complete_trial_with_the_smallest_score(self, study_folder):
        assert select(study_folder, None).number == 2  # 3 has a smaller one, but is pruned
        assert select(study_folder, None).chosen_as == "the best of 3 complete trials"
        assert select(study_folder, 3).number == 3
        assert select(study_folder / "trials" / "0001", None).number == 1

    def test_ties_go_to_the_first(self, make_trial, tmp_path):
        for number in (4, 2, 9):
            make_trial(number)
        assert select(tmp_path, None).number == 2

    def test_damaged_trials_are_passed_over_unless_asked_for(self, study_folder):
        (study_folder / "trials" / "0002" / "trial.json").write_text("{")
        assert select(study_folder, None).number == 1
        with pytest.raises(InputError, match=r"0002/trial.json: not valid JSON"):
            select(study_folder, 2)

    @pytest.mark.parametrize(
        ("folder", "number", "message"),
        [
            ("no", None, "no: no such folder"),
            (".", 9, "has no trial 9; it holds trials 0 to 5"),
            ("trials", None, "neither a study"),
            ("trials/0001", 2, "is trial 1; got --trial 2"),
        ],
    )
    def test_errors(self, study_folder, folder, number, message):
        with pytest.raises(InputError, match=message):
            select(study_folder / folder, number)

    def test_a_study_without_complete_trials(self, make_trial, tmp_path):
        make_trial(0, state="RUNNING", score=None)
        with pytest.raises(InputError, match="no trial is complete yet; name one with --trial"):
            select(tmp_path, None)
        assert select(tmp_path, 0).trial.score is None

    def test_records_without_a_schedule(self, make_trial, tmp_path):
        folder = make_trial(0)
        write_json(folder / "trial.json", {"number": 0, "state": "COMPLETE", "score": 1.0})
        with pytest.raises(InputError, match=r"trial.json: tells no stages"):
            select(tmp_path, 0)
        stages = [{"name": "a", "start": 0, "loss": {}}]
        write_json(
            folder / "trial.json",
            {"number": 0, "state": "COMPLETE", "score": 1.0, "stages": stages},
        )
        with pytest.raises(InputError, match="stage 0 lacks 'end'"):
            select(tmp_path, 0)


# Line breaks as YAML, a shell or Python know them, and signs that a terminal obeys.
