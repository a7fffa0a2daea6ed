import gzip

import numpy as np
import pytest

from sweep.data.read.extxyz import read_frames
from sweep.errors import InputError

GOOD = "1\nProperties=species:S:1:pos:R:3 a=1\nH 0 0 0\n"


def test_frames_are_counted_and_blank_lines_between_them_lose_nothing(files):
    frames = list(read_frames(files.text(GOOD + "\n\n" + GOOD + "\n")))
    assert [frame.index for frame in frames] == [0, 1]


def test_compressed_files(tmp_path):
    path = tmp_path / "frames.xyz.gz"
    path.write_bytes(gzip.compress((GOOD * 3).encode()))
    assert len(list(read_frames(path))) == 3


def test_plain_xyz_is_read(files):
    (frame,) = read_frames(files.text("2\nsome comment\nH 0 0 0\nO 0 0 1\n"))
    assert frame.numbers.tolist() == [1, 8]
    assert not frame.pbc.any()


def test_names_that_ase_moves_to_a_calculator_are_where_the_file_has_them(files):
    text = (
        '3\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3:forces:R:3:charge:R:1 '
        'energy=-1.5 dipole="1 2 3" stress="1 6 5 6 2 4 5 4 3"\n'
        "H 0 0 0 1 0 0 0.1\nH 0 0 1 0 1 0 0.2\nO 0 1 0 0 0 1 -0.3\n"
    )
    (frame,) = read_frames(files.text(text))
    assert frame.info["energy"] == -1.5
    # A vector of three numbers in a frame of three atoms is still not one per atom.
    np.testing.assert_array_equal(frame.info["dipole"], [1, 2, 3])
    np.testing.assert_array_equal(frame.info["stress"], [1, 6, 5, 6, 2, 4, 5, 4, 3])
    np.testing.assert_array_equal(frame.arrays["forces"], np.eye(3))
    np.testing.assert_array_equal(frame.arrays["charge"], [0.1, 0.2, -0.3])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "H 0 0 0\n", r"frame 1 \(line 4\) is not extxyz: .*got 'H 0 0 0'"),
        (GOOD + "0\n\n", r"frame 1 \(line 4\) has 0 atoms"),
        (GOOD + "3\n\nH 0 0 0\n", r"frame 1 \(line 4\) is cut short: 1 of 3 atoms"),
        (GOOD + "1\n", r"frame 1 \(line 4\) is cut short: 0 of 1 atoms"),
        (GOOD + "1\n\nXx 0 0 0\n", r"frame 1 \(line 4\) is not readable as extxyz: .*Xx"),
        (GOOD + "1\n\nH 0 zero 0\n", r"frame 1 \(line 4\) is not readable as extxyz: .*zero"),
        (GOOD + "1\n\nH 0 0\n", r"frame 1 \(line 4\) is not readable"),
    ],
)
def test_bad_frames_are_named(files, text, message):
    with pytest.raises(InputError, match=message) as error:
        list(read_frames(files.text(text)))
    assert "\n" not in str(error.value)


def test_bad_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"'missing.xyz' does not exist"):
        list(read_frames("missing.xyz"))
    with pytest.raises(InputError, match="is not a file"):
        list(read_frames(tmp_path))
    binary = tmp_path / "data.xyz"
    binary.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match=r"data.xyz: not readable as an extxyz text file"):
        list(read_frames(binary))
    broken = tmp_path / "data.xyz.gz"
    broken.write_bytes(gzip.compress(GOOD.encode() * 50)[:-12])
    with pytest.raises(InputError, match="not readable as an extxyz text file"):
        list(read_frames(broken))
