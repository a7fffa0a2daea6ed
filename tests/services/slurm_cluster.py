"""A Slurm cluster of one node, this machine, for tests of the launcher; needs root."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from needed import missing
from postgresql_server import free_port

CONFIG = """
ClusterName=local
SlurmctldHost={node}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# A requeued job waits until its old credential has expired.
AuthInfo=socket={folder}/munge/munge.sock,cred_expire=5
SlurmctldPort={controller_port}
SlurmdPort={daemon_port}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.log
# These three do without cgroups.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
KillWait=5
# Few real cores may pose as 8.
SlurmdParameters=config_overrides
NodeName={node} NodeAddr=127.0.0.1 CPUs=8 SocketsPerBoard=1 CoresPerSocket=8 ThreadsPerCore=1 \
RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes={node} Default=YES MaxTime=INFINITE State=UP
"""

# Without a database of past jobs Slurm's own sacct answers nothing; submitit asks it.
SACCT = r"""#!/bin/sh
echo 'JobID|State|NodeList'
scontrol show job --oneliner 2>/dev/null | sed -n \
  -e 's/^JobId=\([0-9]*\) ArrayJobId=\([0-9]*\) ArrayTaskId=\([0-9]*\) .*JobState=\([A-Z_]*\).*/\2_\3|\4|/p' \
  -e '/ArrayTaskId/!s/^JobId=\([0-9]*\) .*JobState=\([A-Z_]*\).*/\1|\2|/p'
"""  # noqa: E501

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel")


class Slurm:
    """A running cluster with one partition ``main``.

    Attributes:
        env: The environment in which its commands find it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._daemons: list[subprocess.Popen] = []
        for name in ("munge", "state", "spool", "log", "bin"):
            (folder / name).mkdir()
        (folder / "munge").chmod(0o711)
        (folder / "slurm.conf").write_text(
            CONFIG.format(
                folder=folder,
                node=platform.node().partition(".")[0],
                controller_port=free_port(),
                daemon_port=free_port(),
            )
        )
        sacct = folder / "bin" / "sacct"
        sacct.write_text(SACCT)
        sacct.chmod(0o755)
        self.env = {
            **os.environ,
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder / 'bin'}:/usr/sbin:{os.environ['PATH']}",
        }

    def start(self) -> None:
        """Start the daemons and wait for the node."""
        munge = self._folder / "munge"
        (munge / "munge.key").write_bytes(os.urandom(1024))
        (munge / "munge.key").chmod(0o400)
        files = {"key-file": "key", "socket": "sock", "pid-file": "pid", "log-file": "log",
                 "seed-file": "seed"}  # fmt: skip
        self._daemon(
            "munged", "--foreground", *(f"--{k}={munge}/munge.{v}" for k, v in files.items())
        )
        deadline = time.monotonic() + 60
        while not (munge / "munge.sock").exists():
            self._wait(deadline)
        self._daemon("slurmctld", "-D", "-c")
        self._daemon("slurmd", "-D")
        while "idle" not in self.call("sinfo", "--noheader", "--format=%T", check=False):
            self._wait(deadline)

    def stop(self) -> None:
        """Cancel all jobs and end the daemons."""
        self.call("scancel", "--user=root", "--signal=KILL", "--full", check=False)
        self.call("scancel", "--user=root", check=False)
        deadline = time.monotonic() + 15
        while self.call("squeue", "--noheader", check=False) and time.monotonic() < deadline:
            time.sleep(0.5)
        for process in reversed(self._daemons):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def call(self, *command: str, check: bool = True) -> str:
        """Run one of Slurm's commands; returns what it printed."""
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 or not check, f"{command}: {done.stderr}"
        return done.stdout.strip()

    def jobs(self, state: str = "RUNNING") -> list[str]:
        """The numbers of the jobs in a state."""
        listing = self.call("squeue", "--noheader", "--array", "--format=%A", f"--states={state}")
        return listing.split()

    def _daemon(self, name: str, *arguments: str) -> None:
        with (self._folder / "log" / f"{name}.out").open("wb") as log:
            self._daemons.append(
                subprocess.Popen(
                    [shutil.which(name, path=self.env["PATH"]), *arguments],
                    env=self.env, stdout=log, stderr=subprocess.STDOUT, cwd=self._folder,
                )
            )  # fmt: skip

    def _wait(self, deadline: float) -> None:
        for process in self._daemons:
            assert process.poll() is None, f"{process.args[0]} ended: {self._logs()}"
        assert time.monotonic() < deadline, self._logs()
        time.sleep(0.2)

    def _logs(self) -> str:
        return "\n".join(path.read_text()[-2000:] for path in (self._folder / "log").iterdir())


@contextmanager
def slurm() -> Iterator[Slurm]:
    """A running cluster, which is gone afterwards."""
    path = f"/usr/sbin:{os.environ['PATH']}"
    absent = [name for name in _PROGRAMS if shutil.which(name, path=path) is None]
    if absent:
        missing(", ".join(absent), "apt-get install slurm-wlm munge")
    if os.geteuid() != 0:
        missing("root", "the tests start the daemons of a cluster")
    # Not pytest's folder: munge refuses one whose parents belong to others.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    cluster = Slurm(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
