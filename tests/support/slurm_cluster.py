"""A private Slurm on this machine: one controller and two nodes on the loopback device, started and ended by process id.

No munge, no cgroups, no accounting, no system service, nothing outside its folder. The nodes pretend to more cores than there are.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.support.commands import KEY, environment
from tests.support.timeouts import scaled

DAEMONS = ("slurmctld", "slurmd")
NODES = ("n1", "n2")
"""What every job has in its environment and nobody may ever see."""

CONF = """\
ClusterName=ltrec
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=60
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
NodeName=n[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{ports[1]}-{ports[2]}] CPUs=8 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


def why_not() -> str | None:
    """What keeps this machine from running Slurm; None when nothing does."""
    if missing := [name for name in (*DAEMONS, "sbatch", "srun") if shutil.which(name) is None]:
        return f"no Slurm here ({', '.join(missing)} missing): as root, make test-slurm installs Debian's slurm-wlm"
    return None if os.geteuid() == 0 else "only root can start Slurm's daemons"


class Cluster:
    """Start it, talk to it, stop it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "slurm.conf"
        for name in ("state", "spool"):
            (folder / name).mkdir(parents=True)
        self.conf.write_text(CONF.format(host=socket.gethostname().split(".")[0], folder=folder, ports=free_ports(3)))
        self.environment = environment(SLURM_CONF=str(self.conf), WANDB_API_KEY=KEY)

    def start(self) -> None:
        """Returns when both nodes are ready."""
        self.call("slurmctld", "-c", "-f", str(self.conf))
        for node in NODES:
            self.start_node(node)
        self.until(lambda: self.call("sinfo", "-h", "-t", "idle", "-o", "%D").strip() == "2", "two idle nodes")

    def start_node(self, name: str) -> None:
        """One slurmd."""
        self.call("slurmd", "-f", str(self.conf), "-N", name)

    def revive(self, name: str) -> None:
        """Bring a node back that was set down, unless its slurmd said so first."""
        with contextlib.suppress(AssertionError):
            self.call("scontrol", "update", f"NodeName={name}", "State=RESUME")
        self.until(lambda: self.call("sinfo", "-h", "-n", name, "-o", "%t").strip() in ("idle", "mix"), f"{name} is back")

    def stop(self) -> None:
        """Cancel what runs, end the daemons, end what they left."""
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            self.call("scancel", "--user=root")
            self.until(lambda: not self.call("squeue", "-h").strip(), "an empty queue")
        for pid_file in self.folder.glob("*.pid"):
            end(int(pid_file.read_text()))
        for pid in self.tasks():
            end(pid, signal.SIGKILL)

    def call(self, *words: str) -> str:
        """Run a command of Slurm; returns what it says."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=scaled(120), check=False)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def state(self, job: str) -> str:
        """PENDING, RUNNING, COMPLETING, COMPLETED, FAILED, CANCELLED, ..., of one job (not of an array)."""
        found = re.search(r"JobState=(\w+)", self.call("scontrol", "-o", "show", "job", job))
        assert found
        return found[1]

    def start_again(self, job: str) -> None:
        """A requeued job waits for two minutes, by Slurm's design; not here."""
        self.until(lambda: self.state(job) == "PENDING", "back in the queue")
        time.sleep(2)  # credentials count in seconds: one that is issued in the second of its revocation is void
        self.call("scontrol", "update", f"JobId={job}", "StartTime=now")

    def until(self, condition, what: str, seconds: float = 240) -> float:
        """Wait; returns the seconds it took."""
        begin = time.monotonic()
        while not condition():
            assert time.monotonic() < begin + seconds, f"not within {seconds} s: {what}\n{self.said()}"
            time.sleep(0.05)
        return time.monotonic() - begin

    def tasks(self, **variables: str) -> list[int]:
        """Processes of this cluster's jobs in whose environment these variables are set."""
        wanted = {f"{name}={value}".encode() for name, value in {"SLURM_CONF": str(self.conf), **variables}.items()}
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                held = set((folder / "environ").read_bytes().split(b"\0"))
                if wanted <= held and any(name.startswith(b"SLURM_JOB_ID=") for name in held):
                    found.append(int(folder.name))
        return found

    def said(self) -> str:
        """The ends of the daemons' logs."""
        return "\n".join(f"{log.name}: {log.read_text()[-1500:]}" for log in self.folder.glob("*.log"))


def end(pid: int, number: signal.Signals = signal.SIGTERM) -> None:
    """End one process that is ours, and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        for _ in range(200):
            os.kill(pid, 0)
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Neighbouring ports that nobody listens on just now."""
    for first in range(17100 + os.getpid() % 1000, 20000, count):
        with contextlib.ExitStack() as opened, contextlib.suppress(OSError):
            for port in range(first, first + count):
                opened.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return list(range(first, first + count))
    raise AssertionError("no free ports")
