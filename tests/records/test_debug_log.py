"""The debug log: MACE_SCF's lines, whole epochs only."""

import re
from datetime import datetime

import pytest

from sweep.errors import DamagedRecordError
from sweep.records.debug_log import DebugLog, breakdown_line, epoch_line

# What a script for MACE_SCF's logs looks for.
BREAKDOWN = re.compile(r"loss breakdown:\s*(.*)")
TERM = re.compile(r"(\w+):\s*([-+.\deE]+)")
EPOCH = re.compile(r"Epoch\s+(\d+):\s+loss=")
STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ")

WHEN = datetime(2026, 11, 22, 10, 15, 42, 123456).timestamp()


def test_a_breakdown_line_in_full():
    line = breakdown_line(WHEN, ["forces", "dipole_per_atom", "esps"], [7.5e-06, 0.25, 0.0001426])
    assert line == (
        "2026-11-22 10:15:42.123 DEBUG: loss breakdown: "
        "forces: 7.5e-06, dipole_per_atom: 0.25, esps: 0.0001426, "
    )


@pytest.mark.parametrize("value", [0.1 + 0.2, 1 / 3, 1e-300, 123456789.123456789, 0.0, 5e22])
def test_values_survive_the_log_at_full_precision(value):
    line = breakdown_line(WHEN, ["a_1", "B"], [value, 2.0])
    (text,) = BREAKDOWN.findall(line)
    assert [(name, float(number)) for name, number in TERM.findall(text)] == [
        ("a_1", value),
        ("B", 2.0),
    ]


def test_an_epoch_line_in_full():
    errors = [("energy", 1.2345, "meV/atom"), ("forces", 45.6, "meV/Å")]
    line = epoch_line(WHEN, 3, 0.00123, errors)
    assert line == (
        "2026-11-22 10:15:42.123 INFO: Epoch 3: loss=  0.0012, "
        "RMSE_energy=    1.23 meV/atom, RMSE_forces=   45.60 meV/Å"
    )
    assert EPOCH.search(line).group(1) == "3"
    assert BREAKDOWN.search(line) is None
    assert STAMP.match(line)


def test_what_lies_beyond_the_last_finished_epoch_is_cut_off(tmp_path):
    path = tmp_path / "logs" / "fit_debug.log"
    log = DebugLog(path, size=0)
    size = log.append(["one Å", "two"])
    assert size == path.stat().st_size == len("one Å\ntwo\n".encode())
    log.append(["unfinished"])
    with path.open("a") as file:
        file.write("torn li")

    log = DebugLog(path, size=size)
    assert path.read_text(encoding="utf-8") == "one Å\ntwo\n"
    assert log.append(["three"]) == size + 6
    assert path.read_text(encoding="utf-8") == "one Å\ntwo\nthree\n"


@pytest.mark.parametrize("left", [None, b"", b"on"])
def test_a_log_that_is_too_short_is_not_padded(tmp_path, left):
    path = tmp_path / "fit_debug.log"
    size = DebugLog(path, size=0).append(["one", "two"])
    path.unlink()
    if left is not None:
        path.write_bytes(left)
    with pytest.raises(DamagedRecordError, match=f"{len(left or b'')} bytes; {size} were written"):
        DebugLog(path, size=size)
    assert path.read_bytes() == (left or b"")
