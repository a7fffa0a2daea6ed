"""What is read is what was written, in every spelling of every field."""

from __future__ import annotations

import json

import ase.io
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweep.data.read.comment import parse_comment, value_of
from sweep.data.read.configurations import read_configurations
from sweep.data.read.extxyz import read_frames
from sweep.errors import InputError

QUICK = settings(
    max_examples=150,
    deadline=None,
    database=None,
    derandomize=True,  # a run of CI does not fail by chance; remove it to look for more
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

numbers = st.floats(-1e3, 1e3).map(lambda x: round(x, 6))
names = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True).map(lambda name: f"my_{name}")
texts = st.text(st.sampled_from("abcXYZ0123456789 _-+.,;:/()<>&|#'\"[]{}=\\\x1bÅ%"), max_size=12)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@st.composite
def spelled(draw, values):
    """A value of numbers, and one of the ways in which programs write it."""
    plain = [f"{v!r}" for v in values]
    ways = [
        '"' + " ".join(plain) + '"',
        "'" + " ".join(plain) + "'",
        "{" + " ".join(plain) + "}",
        "[" + ", ".join(plain) + "]",
        '"' + ", ".join(plain) + '"',
        f'"_JSON {json.dumps([values])}"',
        f"[[{', '.join(plain)}]]",
    ]
    if len(values) == 1:
        ways += plain
    return draw(st.sampled_from(ways))


def refusal(read) -> str:
    """The message with which it is refused; empty if it is read."""
    try:
        read()
    except InputError as error:
        return str(error)
    return ""


flags = st.lists(st.booleans(), min_size=3, max_size=3)


@st.composite
def spelled_flags(draw, pbc):
    word = draw(
        st.sampled_from(
            [("T", "F"), ("True", "False"), ("true", "false"), ("1", "0"), ("TRUE", "FALSE")]
        )
    )
    words = [word[0] if flag else word[1] for flag in pbc]
    key = draw(st.sampled_from(["pbc", "PBC", "Pbc"]))
    ways = [f'"{" ".join(words)}"', f"[{', '.join(words)}]", f'"[{", ".join(words)}]"']
    if len(word[0]) == 1:
        ways.append("".join(words))
    if len(set(pbc)) == 1:
        ways.append(words[0])
    equals = draw(st.sampled_from(["=", " = ", " =", "= "]))
    return key + equals + draw(st.sampled_from(ways))


@st.composite
def frames(draw):
    """The text of a frame, and what it says."""
    n = draw(st.integers(1, 4))
    symbols = draw(st.lists(st.sampled_from(["H", "O", "Cl", "Na"]), min_size=n, max_size=n))
    positions = [[draw(numbers) for _ in range(3)] for _ in range(n)]
    forces = [[draw(numbers) for _ in range(3)] for _ in range(n)]
    multipoles = [[draw(numbers) for _ in range(4)] for _ in range(n)]
    energy, dipole = draw(numbers), [draw(numbers) for _ in range(3)]
    six = [draw(numbers) for _ in range(6)]
    xx, yy, zz, yz, xz, xy = six
    nine = [xx, xy, xz, xy, yy, yz, xz, yz, zz]
    pbc = draw(flags)
    cell = [[9.0 + draw(st.integers(0, 3)), 0.25, 0.0], [0.5, 9.5, 0.0], [0.0, 0.0, 10.0]]
    charge, weight = draw(st.integers(-3, 3)), round(draw(st.floats(0, 2)), 3)
    kind = draw(st.sampled_from(["Default", "liquid", "<b>", "a/b", 'x"y', "\x1b[31m", "it's"]))
    keys = draw(
        st.permutations(["energy", "dipole", "stress", "total_charge", "forces", "charges"])
    )
    names = dict(zip(("e", "d", "s", "q", "f", "m"), keys, strict=True))
    if not any(pbc):
        six = nine = [0.0] * len(six)
    stress = draw(spelled(draw(st.sampled_from([six, nine]))))
    z_column = draw(st.booleans())
    first = "Z:I:1" if z_column else draw(st.sampled_from(["species:S:1", "symbols:S:1"]))
    parts = [
        draw(st.sampled_from(["Lattice", "lattice", "LATTICE"]))
        + '="' + " ".join(str(x) for row in cell for x in row) + '"',
        draw(st.sampled_from(["Properties", "properties"]))
        + f"={first}:pos:R:3:{names['f']}:R:3:{names['m']}:R:4",
        draw(spelled_flags(pbc)),
        f"{names['e']}={energy!r}",
        f"{names['d']}={draw(spelled(dipole))}",
        f"{names['s']}={stress}",
        f"{names['q']}={draw(st.sampled_from([f'{charge}', f'{charge}.0', f'{charge:d}e0']))}",
        f"config_weight={weight!r}",
        f"config_type={quoted(kind)}",
        f"note={quoted(draw(texts))}",
    ]  # fmt: skip
    comment = draw(st.sampled_from([" ", "  ", "\t"])).join(draw(st.permutations(parts)))
    z = {"H": 1, "O": 8, "Cl": 17, "Na": 11}
    cased = draw(st.sampled_from([str, str.lower, str.upper]))
    rows = [
        " ".join([str(z[s]) if z_column else cased(s), *map(repr, [*p, *f, *m])])
        for s, p, f, m in zip(symbols, positions, forces, multipoles, strict=True)
    ]
    end = draw(st.sampled_from(["\n", "\r\n"]))
    text = end.join([str(n), comment, *rows, ""])
    expected = {
        "numbers": [z[s] for s in symbols], "positions": positions, "cell": cell, "pbc": pbc,
        "weight": weight, "config_type": kind, "energy": energy, "dipole": dipole,
        "stress": np.reshape(nine, (3, 3)) if any(pbc) else None, "total_charge": charge,
        "forces": forces, "density_coefficients": multipoles,
    }  # fmt: skip
    return text, names, expected


@QUICK
@given(made=frames(), bom=st.booleans(), last=st.booleans())
def test_what_is_read_is_what_was_written(tmp_path, made, bom, last):
    text, names, expected = made
    path = tmp_path / "frames.xyz"
    text = text if last else text.rstrip("\r\n")
    path.write_bytes(("\ufeff" * bom + text).encode())
    info = {label: names[key] for label, key in
            (("energy", "e"), ("dipole", "d"), ("stress", "s"), ("total_charge", "q"))}  # fmt: skip
    (read,) = read_configurations(
        path, info, {"forces": names["f"], "atomic_multipoles": names["m"]}
    )
    np.testing.assert_array_equal(read.atomic_numbers, expected["numbers"])
    for name in ("positions", "cell", "pbc", "weight", "config_type"):
        np.testing.assert_array_equal(getattr(read, name), expected[name])
    for name in ("energy", "dipole", "total_charge", "forces", "density_coefficients"):
        np.testing.assert_array_equal(read.labels[name], expected[name])
    if expected["stress"] is None:
        assert "stress" not in read.labels
    else:
        np.testing.assert_array_equal(read.labels["stress"], expected["stress"])


@QUICK
@given(values=st.dictionaries(names, texts, max_size=5))
def test_any_text_survives_in_quotes(values):
    line = " ".join(f"{key}={quoted(text)}" for key, text in values.items())
    assert parse_comment(line) == values


@QUICK
@given(line=st.text(max_size=60))
def test_no_comment_line_is_a_traceback(line):
    message = refusal(lambda: [value_of(value) for value in parse_comment(line).values()])
    assert "\n" not in message


@settings(QUICK, max_examples=300)
@given(data=st.data())
def test_a_damaged_file_is_one_line(tmp_path, data):
    """Whatever bytes are changed, it is read or refused in one line."""
    text = data.draw(frames())[0].encode()
    place = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 20))
    path = tmp_path / "frames.xyz"
    path.write_bytes(text[:place] + data.draw(st.binary(max_size=8)) + text[place + cut :])
    message = refusal(lambda: list(read_frames(path)))
    assert "\n" not in message
    assert not message or str(path) in message


@pytest.mark.parametrize("seed", range(5))
def test_files_of_ase_are_read_as_ase_reads_them(files, water, seed):
    rng = np.random.default_rng(seed)
    atoms = water(seed, REF_dipole=rng.normal(size=3), count=3, flag=True, name="two words")
    atoms.info["matrix"] = rng.normal(size=(3, 3))
    atoms.set_cell(rng.normal(size=(3, 3)) + 9 * np.eye(3))
    atoms.pbc = rng.integers(0, 2, size=3).astype(bool)
    path = files.write(atoms)
    (read,), same = read_frames(path), ase.io.read(path)
    np.testing.assert_array_equal(read.positions, same.positions)
    np.testing.assert_array_equal(read.cell, same.cell)
    np.testing.assert_array_equal(read.pbc, same.pbc)
    assert read.info.keys() == same.info.keys()
    for key, value in same.info.items():
        np.testing.assert_array_equal(read.info[key], value)
    np.testing.assert_array_equal(read.arrays["REF_forces"], same.arrays["REF_forces"])
