"""The picture of a prepared data set: an image, or a page that can be mailed (inline image, no scripts, nothing from elsewhere)."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ltrec.core.errors import UserError
from ltrec.core.storage.atomic import atomic_path, atomic_write_text
from ltrec.data.manifest import Manifest
from ltrec.reporting.plots.data_set import data_figure
from ltrec.reporting.plots.style import DARK, LIGHT, Image

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{name}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 2rem auto; padding: 0 1rem; max-width: 66rem; font: 1rem/1.6 system-ui, sans-serif; }}
body {{ background: {light.paper}; color: {light.ink}; }}
img {{ max-width: 100%; height: auto; }}
td, th {{ padding: .15rem 1.5rem .15rem 0; text-align: left; }}
@media (prefers-color-scheme: dark) {{ body {{ background: {dark.paper}; color: {dark.ink}; }} }}
</style>
<h1>{name}</h1>
<table>{rows}</table>
<figure><picture><source media="(prefers-color-scheme: dark)" srcset="{dark_uri}"><img src="{light_uri}" alt="{alt}"></picture>
<figcaption>{caption}</figcaption></figure>
</html>
"""


def write_picture(manifest: Manifest, count_V: npt.NDArray[np.int64], path: Path) -> None:
    """Write the picture of a data set.

    Args:
        manifest: of the data set.
        count_V: training events of every item, the most popular first.
        path: ends in .html or .png.

    Raises:
        UserError: it ends in something else.
    """
    if path.suffix not in (".html", ".png"):
        raise UserError(f"the picture {path} must end in .html (a page) or .png (an image)")
    image = data_figure(manifest, count_V)
    if path.suffix == ".html":
        atomic_write_text(path, _page(manifest, image))
        return
    with atomic_path(path) as temporary:
        temporary.write_bytes(image.light)


def _page(manifest: Manifest, image: Image) -> str:
    s = manifest.summary
    counts = {"events": s["events"], "users": s["users"], "items": s["items"], "shards": len(manifest.shards)}
    rows = [(name, f"{count:,}") for name, count in counts.items()] + [("digest", manifest.digest[:16])]
    light, dark = (f"data:image/png;base64,{b64encode(png).decode()}" for png in (image.light, image.dark))
    return _PAGE.format(
        name=escape(manifest.name),
        rows="".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows),
        light=LIGHT,
        dark=DARK,
        light_uri=light,
        dark_uri=dark,
        alt=escape(image.alt),
        caption=escape(image.caption),
    )
