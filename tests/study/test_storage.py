"""The journal and the locks outlive whatever kills a process."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from sweep.errors import InputError
from sweep.locks import FileLock, locked
from sweep.study.storage import open_journal

optuna.logging.set_verbosity(optuna.logging.WARNING)


def study_at(path: Path) -> optuna.Study:
    return optuna.create_study(study_name="s", storage=open_journal(path), load_if_exists=True)


def numbers(path: Path) -> list[int]:
    return [trial.number for trial in study_at(path).get_trials()]


@pytest.mark.parametrize("torn", [
        b'{"op_code": 4, "wor', b"{", b'{"a": 1}', b"\xff\xfe\x00", b"\0" * 100_000,
        b'{"op_code": 4, "wor\n', b'{"a": 1}\n', b"\xff\xfe\x00\n", b"\0" * 100_000 + b"\n",
    ],
)  # fmt: skip
def test_a_torn_last_line_costs_nothing_else(tmp_path, torn):
    path = tmp_path / "study.journal"
    study_at(path).ask()
    complete = path.read_bytes()
    with path.open("ab") as file:
        file.write(torn)
    study = study_at(path)
    assert path.read_bytes().startswith(complete)
    study.tell(study.ask(), 1.0)
    study_at(path).ask()
    assert numbers(path) == [0, 1, 2]
    for line in path.read_text().splitlines():
        json.loads(line)


def write_study(path: Path) -> None:
    """Three trials of a study: complete, left at work, failed."""
    study = study_at(path)
    study.set_user_attr("definition", {"a": 1})
    for value in (1.0, None, 2.0):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        trial.report(0.5, 0)
        trial.set_user_attr("score", 0.5)
        if value is not None:
            study.tell(trial, value)


DAMAGES = {
    "zeros": lambda line: b"\0" * (len(line) - 1) + b"\n",
    "half": lambda line: line[: len(line) // 2] + b"\n",
    "no end": lambda line: line[:-2],
    "a bit": lambda line: line.replace(b'"op_code', b'"np_code'),
    "not UTF-8": lambda line: b"\xff" + line[1:],
    "another program's": lambda line: b'{"op_code": "CREATE"}\n',
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_in_the_middle_is_told_and_the_rest_is_kept(tmp_path, damage):
    """Wherever it is: no traceback, nothing written over, and trials keep their numbers."""
    path = tmp_path / "study.journal"
    write_study(path)
    lines = path.read_bytes().splitlines(keepends=True)
    whole = study_at(path).get_trials()
    for number in range(1, len(lines) - 2):
        hurt = [*lines]
        hurt[number] = DAMAGES[damage](lines[number])
        path.write_bytes(b"".join(hurt))
        with pytest.raises(InputError) as caught:
            study_at(path)
        message = str(caught.value)
        offset = sum(len(line) for line in lines[:number])
        assert message.startswith(f"{path}: damaged: 1 of ")
        assert f"at byte {offset} (line {number + 1})" in message
        assert "rename it to study.journal and run again" in message
        assert path.read_bytes() == b"".join(hurt)
        path.with_name("study.journal.readable").rename(path)
        kept = study_at(path).get_trials()
        assert [trial.number for trial in kept] == [0, 1, 2]
        same = [a == b or b.state == TrialState.RUNNING for a, b in zip(whole, kept, strict=True)]
        assert sum(same) >= 2 - (damage == "no end"), number  # which joins two lines
        study_at(path).ask()
        assert numbers(path) == [0, 1, 2, 3]


def test_a_journal_without_its_beginning_is_told(tmp_path):
    path = tmp_path / "study.journal"
    write_study(path)
    path.write_bytes(b"\0" + path.read_bytes())
    with pytest.raises(InputError, match=r"byte 0 \(line 1\); with its beginning the order"):
        study_at(path)


def test_damage_that_comes_while_it_is_open_is_told(tmp_path):
    path = tmp_path / "study.journal"
    study = study_at(path)
    size = path.stat().st_size
    other = study_at(path)
    other.ask()
    other.ask()
    with path.open("rb+") as file:
        file.seek(size)
        file.write(b"\0")
    with pytest.raises(InputError, match=f"at byte {size} "):
        study.get_trials()


def test_a_journal_that_is_only_a_torn_line(tmp_path):
    path = tmp_path / "study.journal"
    path.write_bytes(b'{"op_co')
    study_at(path).ask()
    assert numbers(path) == [0]


def test_two_handles_see_each_other(tmp_path):
    first, second = study_at(tmp_path / "j"), study_at(tmp_path / "j")
    first.ask()
    second.ask()
    assert (
        [t.number for t in first.get_trials()] == [t.number for t in second.get_trials()] == [0, 1]
    )


def test_a_server_may_ask_from_many_threads(tmp_path):
    writer, reader = study_at(tmp_path / "j"), study_at(tmp_path / "j")
    counts, errors = [], []
    complete = (optuna.trial.TrialState.COMPLETE,)

    def ask():
        try:
            for _ in range(60):
                found = [t.number for t in reader.get_trials(deepcopy=False, states=complete)]
                assert found == list(range(len(found)))
                counts.append(len(found))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(40):
        writer.tell(writer.ask(), 1.0)
    for thread in threads:
        thread.join(60)
    assert not errors
    assert [t.number for t in reader.get_trials(states=complete)] == list(range(40))


def test_a_study_that_is_gone_is_said_to_be_unknown(tmp_path):
    study = study_at(tmp_path / "j")
    study.tell(study.ask(), 1.0)
    assert len(study.trials) == 1
    optuna.delete_study(study_name="s", storage=open_journal(tmp_path / "j"))
    with pytest.raises(KeyError):
        study.get_trials()
    assert study_at(tmp_path / "j").trials == []


def test_a_lock_excludes_and_is_given_back(tmp_path):
    path = tmp_path / "locks" / "a.lock"
    first, second = FileLock(path), FileLock(path)
    assert first.acquire()
    assert not second.acquire(blocking=False)
    first.release()
    first.release()  # giving back what one does not hold changes nothing
    assert second.acquire(blocking=False)
    assert not first.acquire(blocking=False)
    second.release()


def test_a_lock_is_given_back_on_an_error(tmp_path):
    path = tmp_path / "a.lock"
    with pytest.raises(RuntimeError), locked(path):
        raise RuntimeError
    assert FileLock(path).acquire(blocking=False)


HOLDER = """
import sys, time
from pathlib import Path
from sweep.locks import FileLock
assert FileLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    path = tmp_path / "a.lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        lock = FileLock(path)
        assert not lock.acquire(blocking=False)
        os.kill(holder.pid, signal.SIGKILL)
        assert lock.acquire()
        lock.release()
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
