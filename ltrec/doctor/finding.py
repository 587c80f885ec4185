"""The result of one check of `ltrec doctor`."""

from __future__ import annotations

from dataclasses import dataclass, replace

OK, WARNING, BROKEN = "ok", "warning", "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        verdict: ok, warning or broken.
        says: what was found.
        remedy: what to do about it; empty only if the verdict is ok.
        name: the check.
        machine: host name, if there are several machines.
    """

    verdict: str
    says: str
    remedy: str = ""
    name: str = ""
    machine: str = ""

    def __post_init__(self) -> None:
        assert self.verdict in (OK, WARNING, BROKEN)
        assert (self.verdict == OK) or self.remedy, "a warning or an error needs a remedy"

    def named(self, name: str) -> Finding:
        """A copy with the name of its check."""
        return replace(self, name=name)

    def on(self, machine: str) -> Finding:
        """A copy with the host name of its machine."""
        return replace(self, machine=machine)


def ok(says: str) -> Finding:
    """A finding that needs no action."""
    return Finding(OK, says)


def warning(says: str, remedy: str) -> Finding:
    """A finding that does not prevent training."""
    return Finding(WARNING, says, remedy)


def broken(says: str, remedy: str) -> Finding:
    """Something would fail."""
    return Finding(BROKEN, says, remedy)
