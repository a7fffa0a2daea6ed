"""The command as a user runs it, and the picture that it draws."""

import subprocess
import sys
import time

import pytest
from matplotlib import image
from matplotlib.figure import Figure

from sweep.plot_batch_losses import main

HEAD = "2026-02-25 11:59:19.214"


def write_log(path, *, n_terms=3, value="1.5"):
    lines = []
    for epoch in range(3):
        for i in range(4):
            terms = [f"term_{k}: {(k + 1) * 10.0**-k * (i + 1)}" for k in range(n_terms)]
            if epoch == 1 and i == 2:
                terms[0] = f"term_0: {value}"
            lines.append(f"{HEAD} DEBUG: loss breakdown: {', '.join(terms)}, ")
        lines.append(f"{HEAD} INFO: Epoch {epoch}: loss=123.4567, RMSE_F=1.0 meV / A")
    path.write_text("\n".join([*lines, ""]))
    return path


@pytest.fixture
def drawn(monkeypatch):
    figures = []
    save = Figure.savefig

    def keep(self, *args, **kwargs):
        figures.append(self)
        return save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def test_a_log_becomes_a_picture_beside_the_user(tmp_path, monkeypatch, capsys, drawn):
    log = write_log(tmp_path / "fit_run-1_debug.log", value="nan")
    monkeypatch.chdir(tmp_path)
    assert main([str(log)]) == 0
    assert capsys.readouterr().out == "fit.png\n"
    assert image.imread(tmp_path / "fit.png").shape[1] > 1000
    axes = drawn[0].axes[0]
    assert axes.get_yscale() == "log"
    assert axes.get_ylabel() == "weighted value (weight × raw value)"
    labels = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert labels == ["term_0\n× 1 not finite", "term_1", "term_2"]
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert [line.get_xdata().tolist() for line in crosses] == [[6.0]]


def test_twelve_terms_have_twelve_looks(tmp_path, drawn):
    log = write_log(tmp_path / "fit_debug.log", n_terms=12)
    assert main([str(log), "--name", str(tmp_path / "a.svg")]) == 0
    handles = drawn[0].legends[0].legend_handles
    assert len({(line.get_color(), line.get_linestyle()) for line in handles}) == 12


def test_names_are_not_set_as_formulas(tmp_path, capsys):
    log = tmp_path / "$x^$_debug.log"
    log.write_text(f"{HEAD} DEBUG: loss breakdown: a$\\frac: 1.0, _b$: 2.0, \n")
    assert main([str(log), "--name", str(tmp_path / "a.png")]) == 0


def test_nothing_but_zeros_can_be_drawn(tmp_path):
    log = tmp_path / "a_debug.log"
    log.write_text(f"{HEAD} DEBUG: loss breakdown: a: 0.0, b: nan, \n" * 3)
    assert main([str(log), "--name", str(tmp_path / "a.png")]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.log"], "missing.log: No such file or directory"),
        (["."], "is neither a trial's folder nor a log"),
        (["study"], "study: is a study; name one of its trials, such as study/trials/0000"),
        (["fit_debug.log", "--min_epoch", "9"], "has no epochs from 9; it holds epochs 0 to 2"),
        (["fit_debug.log", "--min_epoch=2", "--max_epoch=1"], "--min-epoch 2 is above --max-epoch"),
        (["fit_debug.log", "--name=a.pn"], "a.pn: unknown format 'pn'; did you mean 'png'?"),
        (["fit_debug.log", "--name=no/where.png"], None),
        (["fit_debug.log", "--name=fit_debug.log/a.png"], "fit_debug.log: File exists"),
    ],
)
def test_errors_are_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    write_log(tmp_path / "fit_debug.log")
    (tmp_path / "study" / "trials" / "0000").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == (0 if message is None else 1)
    if message is not None:
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("error: ")
        assert message in error


def test_it_starts_at_once_and_without_torch(tmp_path):
    code = (
        "import sys; from sweep.plot_batch_losses import main\n"
        "try: main(['--help'])\n"
        "finally: assert not {'torch', 'matplotlib', 'hydra'} & set(sys.modules), sys.modules"
    )
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "LOG_OR_TRIAL" in done.stdout
    assert time.perf_counter() - began < 30
    log = write_log(tmp_path / "fit_debug.log")
    code = "import sys; from sweep.plot_batch_losses import main\nmain(sys.argv[1:])\n"
    code += "assert 'torch' not in sys.modules"
    arguments = [str(log), "--name", str(tmp_path / "a.png")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, timeout=60)
