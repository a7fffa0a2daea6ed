"""From folders to studies and single trials."""

import shutil

import pytest

from sweep.errors import InputError
from sweep.report.comparison.sources import SINGLE, distinct_names, read_sources, usable


def test_a_study(big_study):
    (source,) = read_sources([big_study])
    assert (source.name, source.is_study, len(source.study)) == ("mine", True, 17)
    assert source.label(source.baseline) == "0"
    assert source.sentence_name(source.study[3]) == "trial 3"


def test_several_studies_and_single_trials(big_study, make_study, make_trial):
    other = make_study("mine", n_trials=2)
    trials = [big_study / "trials" / "0004", make_trial(0)]
    sources = read_sources([trials[0], big_study, trials[1], other])
    assert [source.is_study for source in sources] == [True, True, False]
    names = [source.name for source in sources]
    assert len(set(names)) == 3  # both studies lie in folders of the same name
    assert all(name.endswith("/mine") for name in names[:2])
    single = sources[2]
    assert single.name == SINGLE
    assert [single.label(trial) for trial in single.study] == ["0004", "0000"]
    assert single.baseline.folder == trials[0]
    assert single.study.references.keys() == {"best"}


def test_the_same_folder_twice_is_one(big_study):
    assert len(read_sources([big_study, big_study / "trials" / ".."])) == 1


def test_the_default_that_is_not_complete_is_no_baseline(make_trial, tmp_path):
    make_trial(0, role="default", state="STOPPED")
    make_trial(1)
    (source,) = read_sources([tmp_path])
    assert source.baseline is None


def test_a_copied_trial_does_not_hide_the_original(make_trial, tmp_path):
    shutil.copytree(make_trial(0), tmp_path / "trials" / "copy")
    (source,) = read_sources([tmp_path])
    assert sorted(source.labels.values()) == ["0 (0000)", "0 (copy)"]


def test_what_is_neither(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such folder"):
        read_sources([tmp_path / "nowhere"])
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(InputError, match="file: not a folder"):
        read_sources([file])
    (tmp_path / "outputs" / "mine" / "trials").mkdir(parents=True)
    with pytest.raises(InputError, match=r"neither a study .* did you mean .*/outputs/mine\?"):
        read_sources([tmp_path / "outputs"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: neither a study .* nor a trial"):
        read_sources([tmp_path / "empty"])


def test_folders_without_a_record_are_skipped(make_trial, tmp_path):
    trial, empty = make_trial(0), tmp_path / "failed"
    empty.mkdir()
    found, skipped = usable([trial, empty, tmp_path / "nowhere"])
    assert found == [trial]
    assert [reason.split(":")[0] for reason in skipped] == [str(empty), str(tmp_path / "nowhere")]
    with pytest.raises(InputError, match="failed: neither a study"):
        usable([empty])


def test_a_single_trial_that_is_damaged(make_trial):
    folder = make_trial(0)
    (folder / "trial.json").write_text("{")
    (source,) = read_sources([folder])
    assert list(source.study) == []
    assert list(source.study.unreadable) == [folder]


def test_distinct_names(tmp_path):
    paths = [tmp_path / "a" / "x", tmp_path / "b" / "x", tmp_path / "y"]
    assert distinct_names(paths[:1]) == ["x"]
    assert distinct_names(paths[1:]) == ["x", "y"]
    names = distinct_names(paths)
    assert names[:2] == ["a/x", "b/x"]
