"""Renders a page of the report to HTML with its Jinja template. Every string from outside is escaped."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import jinja2

from ltrec.reporting.plots.style import DARK, LIGHT
from ltrec.reporting.sections.glossary import GLOSSARY, term_of
from ltrec.reporting.sentences import typeset
from ltrec.reporting.view import Page

TEMPLATE = "report.html.j2"


def render(page: Page) -> str:
    """The page as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"typeset": typeset, "term": term_of}
    return environment.get_template(TEMPLATE).render(
        page=page, glossary=GLOSSARY, light=asdict(LIGHT).items(), dark=asdict(DARK).items()
    )
