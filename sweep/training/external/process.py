"""A program that trains a trial: started in a folder, followed, ended with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from sweep.errors import printable
from sweep.training.external import guard

__all__ = ["OUTPUT", "LineFile", "Program"]

OUTPUT = "output.txt"
"""Name of the file, in the program's folder, with everything that it prints."""

_KILL_SECONDS = 10.0  # beyond the grace, until the guard itself is killed
_LAST_LINES, _LAST_BYTES = 5, 4000


class Program:
    """A running program in a process group of its own, as a context: it ends with the block.

    It ends with this process, too, even if that is killed: :mod:`sweep.training.external.guard`.

    Args:
        command: The program and its arguments.
        folder: Where it runs; what it prints is appended to ``output.txt`` there.
        env: Added to the environment.
        grace: Seconds between SIGTERM and SIGKILL when it shall end.

    Attributes:
        group: Its process group, which is the number of its first process.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, *, env: Mapping[str, str], grace: float
    ) -> None:
        self.folder = folder
        self._grace = grace
        reader, writer = os.pipe()
        with (folder / OUTPUT).open("ab") as output, os.fdopen(reader, "rb") as pipe:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(grace), str(writer), *command],
                pass_fds=(writer,),
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env},
                start_new_session=True,  # Ctrl-C in a terminal is the worker's affair
            )
            os.close(writer)
            self.group = int(pipe.readline() or 0)

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    @property
    def status(self) -> int | None:
        """Its exit status, 128 + n if it was ended by signal n; None while it runs."""
        code = self._guard.poll()
        return code if code is None or code >= 0 else 128 - code

    def end(self) -> None:
        """End it and all that it started: SIGTERM, SIGKILL after the grace; returns when done."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        try:
            self._guard.wait(self._grace + _KILL_SECONDS)
        except subprocess.TimeoutExpired:
            self._guard.kill()  # the kernel kills the program then
            self._guard.wait()
        if self._guard.returncode < 0 and self.group:  # the guard could not end the rest
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.group, signal.SIGKILL)

    def describe_end(self) -> str:
        """How it ended, with the last lines that it printed, as one line."""
        status = self.status
        assert status is not None
        how = f"ended with status {status}"
        if status > 128:
            with contextlib.suppress(ValueError):
                how = f"was ended by {signal.Signals(status - 128).name}"
        lines = self.last_lines()
        return f"the program {how}" + (f": {lines}" if lines else " and printed nothing")

    def last_lines(self) -> str:
        """The last lines that it printed, in one line; nothing if it printed nothing."""
        return _last_lines(self.folder / OUTPUT)


class LineFile:
    """A text file that a program writes, followed line by line; it may not be there yet.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0
        self._rest = b""

    def read(self, *, rest: bool = False) -> list[str]:
        """The lines that are whole by now and were not read before, without their line breaks.

        A file that became shorter was written anew, and is read from its start.

        Args:
            rest: Also what follows the last line break: the program has ended.
        """
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._offset:
                    self._offset, self._rest = 0, b""
                file.seek(self._offset)
                new = file.read()
        except FileNotFoundError:
            return []
        self._offset += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        if rest and self._rest:
            lines.append(self._rest)
            self._rest = b""
        return [line.decode(errors="replace").rstrip("\r") for line in lines]


def _last_lines(path: Path) -> str:
    """The last lines of a file that hold anything, in one line."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LAST_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    lines = [" ".join(printable(line).split()) for line in text.splitlines()]
    return " | ".join([line for line in lines if line][-_LAST_LINES:])
