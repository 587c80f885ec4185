"""Settings that had another key in an earlier version: an old habit, or an old run folder, is answered with today's key.

stream.window_blocks=8    is now  stream.buffer_blocks=8
causal.prior=uniform      is now  gradients.prior=uniform
strategy.mode=aligned     is now  gradients.name=aligned
switch.at=3               is now  plugin.switch.at=3        (plugin.trained.switch.at beneath a memory)
"""

from __future__ import annotations

from collections.abc import Sequence

from ltrec.config.source import Setting
from ltrec.core.errors import UserError

KEYS: dict[str, str] = {
    "causal.strata": "strata",
    "causal.prior": "gradients.prior",
    "causal.temperature": "gradients.prior.temperature",
    "causal.beta": "gradients.prior.beta",
    "causal.shares": "gradients.prior.shares",
    "causal.empty": "gradients.empty",
    "causal.estimator": "gradients.estimator",
    "rule": "gradients.rule",
    "alignment": "gradients",
    "switch": "plugin.switch",
    "strategy.mode": "gradients.mode",
    "strategy.source": "gradients.source",
    "strategy.nonfinite": "gradients.nonfinite",
    "strategy.probe_every_steps": "gradients.probe_every_steps",
    "stream.window_blocks": "stream.buffer_blocks",
    "prepare.cold_users": "prepare.held_out_users",
    "prepare.cold_seed": "prepare.held_out_seed",
}
"""Former key or section -> its present name."""

SETTINGS: dict[tuple[str, str], str] = {
    ("strategy.mode", "aligned"): "gradients.name=aligned",
    ("strategy.name", "joint"): "gradients.name=joint",
    ("strategy.name", "stratified"): "gradients.name=stratified",
    **{
        ("strategy.name", f"stratified_{name}"): f"gradients.name=stratified strategy.name={name}"
        for name in ("ddp", "fsdp2", "deepspeed_stage_1", "deepspeed_stage_2", "deepspeed_stage_3")
    },
}
"""Former key and value -> the settings that replace them, where more than the key has changed."""


def today(key: str, value: str | None) -> str | None:
    """What a former setting is written as today; None for one that is not a former setting."""
    if value is not None and (key, value) in SETTINGS:
        return SETTINGS[key, value]
    for old, new in KEYS.items():
        if key == old or key.startswith(f"{old}."):
            return f"{new}{key.removeprefix(old)}" + ("" if value is None else f"={value}")
    return None


def refuse_former(settings: Sequence[Setting]) -> None:
    """Refuse a setting under its former name.

    Raises:
        UserError: with its present name.
    """
    for setting in settings:
        if (new := today(setting.key, _word(setting))) is not None:
            raise UserError(f"{setting.key!r} {setting.where} is of an earlier ltrec: it is now {new}")


def _word(setting: Setting) -> str | None:
    """Its value as it would be typed; None for an empty section."""
    if isinstance(setting.text, list):
        return f"[{','.join(map(str, setting.text))}]"
    return setting.text if isinstance(setting.text, str) else None
