"""Every method that ltrec ships: the file of conf/method or its zoo, and for a rule of the zoo the word that names it."""

from __future__ import annotations

from pathlib import Path

from ltrec.config.files import shipped_conf

FOLDER = shipped_conf() / "method"
RULE = FOLDER / "zoo" / "rule.yaml"
RULES = (
    "agr_sum",
    "aligned_mtl",
    "cagrad",
    "dot_attention",
    "dualproj",
    "fairgrad",
    "imtl_g",
    "mgda",
    "pcgrad",
    "soft_attention",
)
"""Rules that zoo/rule.yaml lists; a method by one of them is called as the rule is, with hyphens."""

FILES: dict[str, tuple[Path, tuple[str, ...]]] = {
    **{path.stem: (path, ()) for path in FOLDER.rglob("*.yaml") if path != RULE},
    **{rule.replace("_", "-"): (RULE, (f"gradients.rule={rule}",)) for rule in RULES},
}
"""name -> file and words."""
