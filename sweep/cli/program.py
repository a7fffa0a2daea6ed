"""What all commands share: how they end, and how their options are read. Imports only the library.

Exit status: 0 for success, also where the reader of a pipe went away; 1 for an error, which is one
line on stderr; 2 for a wrong use of the command line; 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import io
import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path

from sweep import __version__
from sweep.errors import InputError, SweepError, printable

__all__ = ["INTERRUPTED", "PROGRAM", "UsageError", "guarded", "listed", "make_parser", "positive"]

PROGRAM = "loss-sweep"
INTERRUPTED = 130  # the exit status of a program that SIGINT ended


class UsageError(InputError):
    """The command line itself is wrong: exit status 2, as argparse has it."""


def guarded(act: Callable[[], None], *, interrupted: str | None = "stopped") -> int:
    """Run a command and return its exit status.

    With ``HYDRA_FULL_ERROR=1`` in the environment errors are raised instead, traceback and all.

    Args:
        act: The command.
        interrupted: What Ctrl-C prints, if the interruption itself has no words; None for commands
            that it ends as it should.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal or pipe whose encoding lacks Å
            stream.reconfigure(errors="replace")
    raise_all = os.environ.get("HYDRA_FULL_ERROR") == "1"
    try:
        act()
    except BrokenPipeError:  # the output went to something like head, which has seen enough
        _close_output()
        return 0
    except (SweepError, OSError) as error:
        if raise_all:
            raise
        _say(f"error: {_line(error)}")
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt as error:
        if interrupted is None:
            return 0
        _say(str(error) or interrupted)
        return INTERRUPTED
    finally:
        try:
            sys.stdout.flush()  # otherwise Python does at its end, and complains there
        except BrokenPipeError:
            _close_output()
    return 0


def make_parser(command: str, description: str, *, examples: str = "") -> argparse.ArgumentParser:
    """The parser of a sub-command.

    Args:
        command: Its name.
        description: What it does.
        examples: Lines shown below the options.
    """
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {command}",
        description=description,
        epilog=examples,
        formatter_class=plain if examples else argparse.HelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    return parser


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or larger, got {text}")
    return value


def listed(text: str) -> list[str]:
    """The parts of ``a,b,c``."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        line = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        return line + (_whose(error.filename) if isinstance(error, PermissionError) else "")
    return str(error)


def _whose(name: object) -> str:
    """Who can let the user in: the owner of what is in the way, if it is someone else."""
    if not isinstance(name, str | os.PathLike):
        return ""
    path = Path(os.path.abspath(name))
    for place in (path, *path.parents):
        try:
            owner = place.stat().st_uid
        except OSError:  # nothing there, or it is in a folder that lets nobody in
            continue
        if owner == os.geteuid():
            return ""
        try:
            who = pwd.getpwuid(owner).pw_name
        except KeyError:
            who = f"user {owner}"
        return f"; {place} is {who}'s, who can let the group in: chmod -R g+rwX {place}"
    return ""


def _say(line: str) -> None:
    try:
        print(printable(line), file=sys.stderr, flush=True)
    except BrokenPipeError:
        _close_output()


def _close_output() -> None:
    """Let what is still printed go nowhere, the buffers at Python's end too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
