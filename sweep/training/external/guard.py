"""Runs a program and sees to it that nothing of it is left when it shall end, or its owner dies.

Run as a script of its own, ``python -I -S guard.py GRACE PIPE COMMAND …``, between a worker and the
program that trains; the number of the program's process group goes into the pipe. It imports the
standard library only.

Standard input is the lifeline: a pipe whose other end only the worker holds. When it closes, since
the worker says so or was killed, whatever way, all processes of the program get SIGTERM and, after
GRACE seconds, SIGKILL. Should the guard itself be killed, the kernel kills the program.

It ends with the program's exit status, 128 + n if that was ended by signal n; 127 if there is no
such program.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

_PR_SET_PDEATHSIG = 1
_LOOK_SECONDS = 0.05
_NOT_FOUND = 127


def main(grace: float, pipe: int, command: list[str]) -> int:
    """Run the command to its end; returns the exit status."""
    os.set_inheritable(pipe, False)
    # A signal to all processes of a job is the worker's affair, which then closes the lifeline.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    own = os.getpid()
    program = os.fork()
    if program == 0:
        _become(command, own)
    with contextlib.suppress(OSError):  # the program itself may have been faster
        os.setpgid(program, program)
    os.write(pipe, b"%d\n" % program)
    os.close(pipe)
    status = _wait(program)
    ended = status is not None
    if status is None:
        status = _end(program, grace)
    _end_rest(program, grace if ended else 0.0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _become(command: list[str], guard: int) -> None:
    """In the new process: die with the guard, then run the command."""
    os.setpgid(0, 0)
    with contextlib.suppress(OSError, AttributeError):  # not on Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guard:  # it was killed before the line above
        os._exit(_NOT_FOUND)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)
    os._exit(_NOT_FOUND)


def _wait(program: int) -> int | None:
    """Wait for the program's end; returns its status, None if the lifeline closed before."""
    while True:
        found, status = os.waitpid(program, os.WNOHANG)
        if found:
            return status
        readable, _, _ = select.select([0], [], [], _LOOK_SECONDS)
        if readable and not os.read(0, 1):
            return None


def _end(program: int, grace: float) -> int:
    """End the program; returns its status."""
    deadline = time.monotonic() + grace
    _signal(program, signal.SIGTERM)
    while time.monotonic() < deadline:
        found, status = os.waitpid(program, os.WNOHANG)
        if found:
            return status
        time.sleep(_LOOK_SECONDS)
    _signal(program, signal.SIGKILL)
    return os.waitpid(program, 0)[1]


def _end_rest(group: int, grace: float) -> None:
    """End what the program started and left behind."""
    deadline = time.monotonic() + grace
    if _signal(group, signal.SIGTERM):
        while time.monotonic() < deadline and _signal(group, 0):
            time.sleep(_LOOK_SECONDS)
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    """Signal a process group; returns whether there is one."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # only processes that are not ours any more
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
