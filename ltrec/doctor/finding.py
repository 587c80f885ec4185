"""What one check of `ltrec doctor` found."""

from __future__ import annotations

from dataclasses import dataclass, replace

OK, WARNING, BROKEN = "ok", "warning", "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line.

    Attributes:
        verdict: ok, warning or broken.
        says: what was found.
        remedy: what to do about it; not empty unless the verdict is ok.
        name: what was looked at.
        machine: where, when there are several.
    """

    verdict: str
    says: str
    remedy: str = ""
    name: str = ""
    machine: str = ""

    def __post_init__(self) -> None:
        assert self.verdict in (OK, WARNING, BROKEN)
        assert (self.verdict == OK) or self.remedy, "whoever complains says what to do"

    def named(self, name: str) -> Finding:
        """The same about a matter."""
        return replace(self, name=name)

    def on(self, machine: str) -> Finding:
        """The same of a machine."""
        return replace(self, machine=machine)


def ok(says: str) -> Finding:
    """As it should be."""
    return Finding(OK, says)


def warning(says: str, remedy: str) -> Finding:
    """Training runs all the same."""
    return Finding(WARNING, says, remedy)


def broken(says: str, remedy: str) -> Finding:
    """Something would fail."""
    return Finding(BROKEN, says, remedy)
