"""Checks of the machine: disk, memory and cores, as far as this process may use them (cgroup, quota, affinity)."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from pathlib import Path

from ltrec.doctor.finding import Finding, broken, ok, warning
from ltrec.run.process.cores import MEMBERSHIP, num_cores, quota_of, threads_per_process
from ltrec.run.process.system_errors import nearest_existing

GIB = 1 << 30
_PROBE_BYTES = 4 << 20
_CGROUP = Path("/sys/fs/cgroup")


def disk(folder: Path) -> Finding:
    """Free space where runs are written, and the time to write and fsync a small file there."""
    place = nearest_existing(folder)
    free = shutil.disk_usage(place).free
    try:
        seconds = seconds_to_write(place)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        return broken(
            f"{place}: {os.strerror(error.errno or 0)}",
            "make room there" if full else "choose another folder: out=FOLDER",
        )
    says = f"{free / GIB:,.1f} GiB free in {place}; 4 MiB written and fsync'ed in {seconds * 1000:,.0f} ms"
    if free < 2 * GIB:
        return warning(
            says, "a run of a few million parameters keeps two checkpoints and an evaluation table: provide at least 2 GiB"
        )
    if seconds > 2:
        return warning(
            says, "every checkpoint will block training for that long: choose a faster disk (out=FOLDER) or save less often"
        )
    return ok(says)


def seconds_to_write(folder: Path) -> float:
    """Seconds to write and fsync 4 MiB in `folder`.

    Raises:
        OSError: the file cannot be written.
    """
    begin = time.perf_counter()
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor.", suffix=".tmp") as file:
        file.write(os.urandom(_PROBE_BYTES))
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - begin


def memory(cgroup: Path = _CGROUP, meminfo: Path = Path("/proc/meminfo")) -> Finding:
    """Free memory, or what the limit of the container or Slurm job leaves, whichever is less."""
    if not meminfo.exists():
        return warning("unknown: there is no /proc/meminfo", "ltrec is made for Linux; watch the memory yourself")
    free = available_bytes(meminfo)
    limit, used = cgroup_limit(cgroup)
    room = free if limit is None else min(free, limit - used)
    says = f"{room / GIB:,.1f} GiB to use"
    says += "" if limit is None else f"; the limit of this container or job is {limit / GIB:,.1f} GiB"
    if room < 2 * GIB:
        return warning(says, "training needs about 2 GiB per process: ask for more (sbatch --mem), or lower stream.memory_mib")
    return ok(says)


def available_bytes(meminfo: Path) -> int:
    """Bytes available without swapping."""
    lines = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024


def cgroup_limit(cgroup: Path) -> tuple[int | None, int]:
    """(limit, used) in bytes of this process's cgroup, version 2 or 1; (None, 0) without a limit."""
    for limit, used in (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")):
        if (cgroup / limit).exists() and (text := (cgroup / limit).read_text(encoding="ascii").strip()) != "max":
            if int(text) >= 1 << 60:  # how version 1 spells "no limit"
                return None, 0
            return int(text), int((cgroup / used).read_text(encoding="ascii"))
    return None, 0


def cores(cgroup: Path = _CGROUP, membership: Path = MEMBERSHIP) -> Finding:
    """Cores that this process may run on, the CPU quota of its container, and OMP_NUM_THREADS."""
    usable, quota = num_cores(), quota_of(cgroup, membership)
    says = f"{usable} of {os.cpu_count() or 1}" + ("" if quota is None else f", a quota of {quota:g}")
    threads = os.environ.get("OMP_NUM_THREADS")
    says += "" if threads is None else f"; OMP_NUM_THREADS={threads}"
    most = threads_per_process({}, usable, quota)
    if threads is not None and threads.isdecimal() and int(threads) > most:
        return warning(says, f"more threads than cores slow each other down: set OMP_NUM_THREADS={most}, or leave it to ltrec")
    if usable < 2:
        return warning(says, "the loader's threads share the one core with training: ask for 2 or more per process")
    return ok(says)
