"""One progress bar per stage of a long command; silent where nobody watches."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class StageBar:
    """Hears (stage, done, total) and shows the stages one below the other."""

    def __init__(self, console: Console) -> None:
        columns = (
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description:<8}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self.progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.stage = ""
        self.task: TaskID | None = None

    def __enter__(self) -> StageBar:
        """Start to draw."""
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Clear the bars."""
        self.progress.stop()

    def update(self, stage: str, done: int, total: int) -> None:
        """A new stage ends the one before it; total 0 = unknown."""
        if stage != self.stage or self.task is None:
            self._finish()
            self.stage, self.task = stage, self.progress.add_task(stage, total=None)
        self.progress.update(self.task, completed=done, total=total or None)

    def _finish(self) -> None:
        if self.task is not None:
            done = max(1, int(self.progress.tasks[-1].completed))
            self.progress.update(self.task, completed=done, total=done)
