"""The command line by which another program trained a trial, weights included."""

from __future__ import annotations

import shlex

from sweep.errors import InputError
from sweep.export.winner import Winner
from sweep.records.weights_file import comments

__all__ = ["command"]


def command(winner: Winner) -> str:
    """A shell script that calls the program as the trial did.

    Raises:
        InputError: if the trial was not trained by a command.
    """
    words = winner.trial.details.get("command")
    if not (isinstance(words, list) and words and all(isinstance(word, str) for word in words)):
        raise InputError(
            f"{winner.trial.folder}: was not trained by the command of another program "
            "(trainer=command); weights for mace_run_train: --format mace_cli"
        )
    remarks = [*winner.comments(), "It writes into the folder where it is called."]
    return "#!/bin/sh\n" + comments(remarks) + shlex.join(words) + ' "$@"\n'
