"""Optional libraries: which extra of the package brings which, and the one-line error if it is missing.

An extra is checked when the object that needs it is built, not when it is first used: before the first training step.
"""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec

from ltrec.core.errors import UserError

EXTRAS: dict[str, tuple[str, ...]] = {
    "deepspeed": ("deepspeed",),
    "export": ("onnx", "onnxscript", "onnxruntime"),
    "gram": ("torchjd", "cvxpy", "qpsolvers", "quadprog"),
    "index": ("usearch",),
    "report": ("matplotlib", "jinja2"),
    "serve": ("fastapi", "pydantic", "uvicorn", "prometheus_client"),
    "spark": ("pyspark", "pandas"),
    "wandb": ("wandb",),
}
"""Extra -> the modules that the code imports because of it, as `[project.optional-dependencies]` of pyproject.toml has them."""


def missing(extra: str) -> list[str]:
    """The extra's modules that are not installed."""
    return [module for module in EXTRAS[extra] if find_spec(module) is None]


def require(extra: str, feature: str) -> None:
    """Do nothing if the extra is installed.

    Args:
        extra: a key of `EXTRAS`.
        feature: that needs it.

    Raises:
        UserError: the command that installs it.
    """
    if absent := missing(extra):
        raise UserError(f"{feature} needs {', '.join(absent)}: {install(extra)}")


def version_of(distribution: str) -> str:
    """The installed version of a distribution, or ``not installed``."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def install(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install 'ltrec[{extra}]'"
