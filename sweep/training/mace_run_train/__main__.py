"""``mace_run_train`` with our loss: ``python -m sweep.training.mace_run_train CONTROL FLAGS``.

The first argument is the file of a :class:`~.control.Control`, the others are flags of
``mace_run_train``. Exit status: 0 done, 1 failed (the events say why), 143 stopped by SIGTERM.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import warnings
from pathlib import Path
from types import FrameType

from sweep.config.terms import import_terms
from sweep.errors import SweepError
from sweep.training.mace_run_train.control import Control

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Run mace's training; returns the exit status."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    control = Control.read(Path(arguments[0]))
    folder = Path(control.folder).resolve()
    if control.cwd is not None:
        os.chdir(control.cwd)
    warnings.filterwarnings("ignore")  # of libraries, about themselves
    import_terms(control.loss_modules)
    import mace.cli.run_train as program
    import mace.tools as tools
    import mace.tools.tables_utils as tables
    import torch

    from losses import LossError
    from sweep.training.mace_run_train.compatibility import (
        adapt_graph_longrange,
        check_mace,
        with_all_parameters,
        with_seed,
    )
    from sweep.training.mace_run_train.driver import STOPPED, Driver

    # The attribute of the package is the function of the same name.
    module = sys.modules["mace.tools.train"]
    driver = Driver(control, folder, module)

    def stop(number: int, frame: FrameType | None) -> None:
        driver.stopping = True
        if not driver.training:
            raise SystemExit(STOPPED)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: who started us says what to do
    try:
        check_mace(module)
        adapt_graph_longrange()
        args = tools.build_default_arg_parser().parse_args(arguments[1:])
        vars(args).update(control.overrides)
        tools.train = driver.train
        tables.evaluate = driver.evaluate_table
        program.create_error_table = functools.partial(
            driver.create_error_table, program.create_error_table
        )
        if control.split_seed is not None:
            program.get_dataset_from_xyz = with_seed(
                program.get_dataset_from_xyz, control.split_seed
            )
        if control.train_all:
            program.get_params_options = with_all_parameters(
                program.get_params_options, lambda text: driver.events.write("note", message=text)
            )
        program.run(args)
    except (SweepError, LossError, torch.OutOfMemoryError) as error:
        driver.events.write("error", kind=type(error).__name__, message=str(error))
        print(error, file=sys.stderr)
        return 1
    driver.events.write("end")
    driver.events.sync()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
