"""Lines of results -> medians, and ratios to the project in the same round."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.ledger import Line
from benchmarks.peers.sitting import ledger_in
from benchmarks.peers.tables import BARS, CELLS, MEASURES, OTHERS, OWN, Bar


def value(line: Line, measure: str) -> float:
    """A measure of one run. Of its epochs the cheapest counts."""
    if measure == "training":
        costs: list[float] = [seconds / targets for seconds, targets in zip(line["epochs_s"], line["targets"], strict=True)]
        return min(costs)
    return float(line["evaluation_s"]) / line["users"] if measure == "evaluation" else float(line["peak_mib"])


@dataclass(frozen=True, slots=True)
class Summary:
    """All results.

    Attributes:
        lines: the newest by log, length, system and round.
    """

    lines: dict[tuple[str, int, str, int], Line]

    @classmethod
    def read(cls, folder: Path) -> Summary:
        """The lines in a folder of results."""
        logs = dict.fromkeys(cell.log for cell in CELLS)
        found = [line for log in logs for line in ledger_in(folder).lines(log)]
        return cls({(line["data"], line["length"], line["system_name"], line["round"]): line for line in found})

    def cells(self) -> list[tuple[str, int]]:
        """Logs and lengths with results of the project and another, in the order of the tables."""
        known = [(cell.log, cell.length) for cell in CELLS]
        return [cell for cell in known if any(self.ratio(*cell, name, "training") for name in OTHERS)]

    def runs(self, log: str, length: int, system: str) -> dict[int, Line]:
        """Lines by round."""
        found = {turn: self.lines.get((log, length, system, turn)) for turn in sorted({key[3] for key in self.lines})}
        return {turn: line for turn, line in found.items() if line is not None}

    def median(self, log: str, length: int, system: str, measure: str) -> float:
        """Over rounds."""
        return statistics.median(value(line, measure) for line in self.runs(log, length, system).values())

    def ratio(self, log: str, length: int, system: str, measure: str, base: str = OWN) -> float | None:
        """How many times as much as the project in the same round, the median over rounds; None without a common round."""
        own = self.runs(log, length, base)
        shared = [(line, own[turn]) for turn, line in self.runs(log, length, system).items() if turn in own]
        if not shared:
            return None
        return statistics.median(value(line, measure) / value(ours, measure) for line, ours in shared)

    def reached(self, bar: Bar, base: str = OWN) -> float | None:
        """The ratio that a target is about: of its library, or of the one that needs least."""
        names = [bar.system] if bar.system else OTHERS
        ratios = [self.ratio(bar.log, bar.length, name, bar.measure, base) for name in names]
        return min((ratio for ratio in ratios if ratio is not None), default=None)

    def to_dict(self) -> dict[str, object]:
        """The ratios, and which targets are met."""
        ratios = {
            f"{log} at {length}": {
                name: {measure: round(ratio, 2) for measure in MEASURES if (ratio := self.ratio(log, length, name, measure))}
                for name in OTHERS
            }
            for log, length in self.cells()
        }
        bars = [
            {**_words(bar), "reached": round(ratio, 2), "met": ratio >= bar.least} for bar in BARS if (ratio := self.reached(bar))
        ]
        return {"benchmark": "peers", "ratios": ratios, "targets": bars}


def _words(bar: Bar) -> dict[str, object]:
    return {"measure": bar.measure, "cell": f"{bar.log} at {bar.length}", "of": bar.system or "the least", "least": bar.least}
