"""Which Slurm job this is, from variables that hold no secrets."""

from __future__ import annotations

from collections.abc import Mapping

_WANTED = {
    "job_id": "SLURM_JOB_ID",
    "job_name": "SLURM_JOB_NAME",
    "array_job_id": "SLURM_ARRAY_JOB_ID",
    "array_task_id": "SLURM_ARRAY_TASK_ID",
    "restarts": "SLURM_RESTART_COUNT",
    "nodes": "SLURM_JOB_NODELIST",
    "partition": "SLURM_JOB_PARTITION",
}


def slurm_job(variables: Mapping[str, str]) -> dict[str, str]:
    """The job's id, name, array task, nodes, ...; empty outside Slurm."""
    return {name: variables[variable] for name, variable in _WANTED.items() if variable in variables}


def group_of(job: Mapping[str, str]) -> str | None:
    """One group for the tasks of a Slurm array; None outside one."""
    return f"slurm-{job['array_job_id']}" if "array_job_id" in job else None
