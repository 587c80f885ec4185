"""What the server answers, for its specification. Answers are written as JSON directly: nobody validates what we made ourselves."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AnswerReply(_Reply):
    """The items to recommend."""

    items: list[str]
    scores: list[float]
    stratum: int
    source: Literal["model", "popularity"]
    unknown_items: int
    artefact: str


class BatchReply(_Reply):
    """An answer for every history, in their order."""

    answers: list[AnswerReply]


class PluginReply(AnswerReply):
    """What the plugins of one stratum recommend."""

    plugin: int


class PluginsReply(_Reply):
    """What the plugins of every stratum recommend; those of `served_by` are the history's own. Empty where there are none."""

    served_by: int
    answers: list[PluginReply]


class HealthReply(_Reply):
    """Whether the server lives and takes requests, and with which artefact."""

    live: bool
    ready: bool
    version: str
    artefact: str
    run: str
    waiting: int
    reload: str | None


class ProblemReply(_Reply):
    """What is wrong, and with which field."""

    error: str
    field: str | None
