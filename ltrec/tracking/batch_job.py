"""Which Slurm job this is, in numbers and names that are nobody's secret."""

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
    """What Slurm says of the job, by our names; empty outside one."""
    return {name: variables[variable] for name, variable in _WANTED.items() if variable in variables}


def group_of(job: Mapping[str, str]) -> str | None:
    """The tasks of one array belong together, whoever submitted it."""
    return f"slurm-{job['array_job_id']}" if "array_job_id" in job else None
