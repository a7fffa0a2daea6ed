"""A PostgreSQL server of the test's own, on a free port of the loopback interface."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from needed import missing

USER = "sweep"


class PostgreSQL:
    """A server with an empty database, in a folder of its own.

    Args:
        folder: Where it keeps its files; owned by whoever runs it, who must not be root.
        owner: Name of that user; None for the one who runs the tests.
    """

    def __init__(self, folder: Path, owner: str | None) -> None:
        self._data = folder / "data"
        self._log = folder / "log"
        self._as = {} if owner is None else {"user": owner, "group": owner, "extra_groups": []}
        self._process: subprocess.Popen | None = None
        self.port = free_port()
        self._call("initdb", "-D", str(self._data), "-U", USER, "-A", "trust", "--no-sync")

    @property
    def url(self) -> str:
        """For ``hydra.sweeper.storage``."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def create(self, name: str) -> str:
        """Create a database; returns its URL."""
        self._execute(f'CREATE DATABASE "{name}"')
        return f"{self.url.rpartition('/')[0]}/{name}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "shared_buffers": "16MB",
        }
        command = [program("postgres"), "-D", str(self._data)]
        for key, value in options.items():
            command += ["-c", f"{key}={value}"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, cwd="/", **self._as
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                self._execute("SELECT 1")
            except psycopg.OperationalError:
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < deadline, self._log.read_text()
                time.sleep(0.1)
            else:
                return

    def stop(self) -> None:
        """Stop the server without waiting for its clients to go."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)
            self._process = None

    def kill_connections(self) -> int:
        """End all connections; returns how many there were."""
        return self._execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )

    def _execute(self, statement: str):
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement)
            return None if cursor.description is None else cursor.fetchone()[0]

    def _call(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [program(name), *arguments], capture_output=True, text=True, cwd="/", **self._as
        )
        assert done.returncode == 0, done.stderr


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """A running server, which is gone afterwards."""
    owner = None
    if os.geteuid() == 0:  # it refuses to run as root
        owner = "postgres"
        try:
            pwd.getpwnam(owner)
        except KeyError:
            missing(*_POSTGRESQL)
    # Not pytest's folder, which nobody else may enter.
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    if owner is not None:
        shutil.chown(folder, owner, owner)
    server = PostgreSQL(folder, owner)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


_POSTGRESQL = ("a PostgreSQL server", "apt-get install postgresql")


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = str(debian[-1]) if debian else shutil.which(name)
    if found is None:
        missing(*_POSTGRESQL)
    return found


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
