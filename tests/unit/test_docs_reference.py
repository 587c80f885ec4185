"""The pages that are made from the code say what the code has; every page of the manual is in the site, with links that hold."""

import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Literal

import pytest
import yaml

import ltrec
from docs.reference import __main__ as site
from docs.reference import api
from docs.reference.fields import Row, rows_of
from docs.reference.markdown import cell
from ltrec.cli.main import COMMANDS
from ltrec.config.load import load
from ltrec.config.tree import variants
from ltrec.core.bounds import Between, OneOf
from tests.support.pages import anchors
from tests.support.source_tree import ROOT, committed


@dataclass(frozen=True)
class Sample:
    """A config."""

    share: Annotated[float, Between(0, 1, above=True)] = 0.5
    """How much
    of it."""
    word: Annotated[str, OneOf("a", "b")] = "a"
    """Which."""
    other: Literal["x", "y"] | None = None
    many: tuple[int, ...] = (1, 2)
    """Some."""


def test_a_field_is_a_row_with_type_default_bounds_and_meaning():
    assert rows_of(Sample) == [
        Row("share", "float, above 0 to 1", "0.5", "How much\nof it."),
        Row("word", "`a` or `b`", "a", "Which."),
        Row("other", "one of 'x', 'y' or null", "null", ""),
        Row("many", "a list of int", "[1, 2]", "Some."),
    ]


def test_a_bar_does_not_end_a_cell():
    assert cell("a | b\n  c") == r"a \| b c"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Name -> text of the site's sources."""
    out = tmp_path_factory.mktemp("docs")
    site.write(out)
    return {path.name: path.read_text() for path in out.glob("*.md")}


def flat(value, path=""):
    """Every key of a config, dotted."""
    if not hasattr(value, "__dataclass_fields__"):
        return [path]
    return [key for name in value.__dataclass_fields__ for key in flat(getattr(value, name), f"{path}.{name}".lstrip("."))]


def test_every_setting_has_its_row_with_a_meaning(pages):
    rows = dict(re.findall(r"^\| `([\w.]+)` \|.*\| ([^|]*) \|$", pages["configuration.md"], re.MULTILINE))
    chosen = {f"{section}.name" for section in variants()}
    assert [key for key in flat(load([], [])) if key not in rows and key not in chosen] == []
    assert [key for key, meaning in rows.items() if not meaning.strip()] == []


def test_every_variant_is_on_the_page(pages):
    text = pages["configuration.md"]
    missing = [(section, name) for section, table in variants().items() for name in table if f"`{name}`" not in text]
    assert missing == []


def test_every_command_has_its_section_with_its_options(pages):
    text = pages["commands.md"]
    assert re.findall(r"^## `ltrec (\w+)`$", text, re.MULTILINE) == list(COMMANDS)
    assert re.search(r"^\| `--resume`|^\| `--smoke`", text, re.MULTILINE)


def test_every_public_name_has_its_entry(pages):
    entries = set(re.findall(r"^### `ltrec\.(\w+)`$", pages["api.md"], re.MULTILINE))
    assert entries == set(ltrec.__all__) - {"__version__"}
    for room in api.ROOMS:
        assert f"## `ltrec.{room}`" in pages["api.md"]


def test_a_docstring_becomes_lists():
    text = api.story("Do it.\n\nArgs:\n    one: the first,\n        and more.\n\nRaises:\n    UserError: never.\n\nEnd.")
    assert "**Args**\n\n* `one`: the first,\n  and more." in text
    assert "* `UserError`: never.\n\nEnd." in text


def test_the_site_has_every_page_and_no_other(pages):
    config = (ROOT / "mkdocs.yml").read_text().replace("!!python/object/apply:pymdownx.slugs.slugify", "")
    listed = re.findall(r": (\w[\w-]*\.md)$", config, re.MULTILINE)
    assert sorted(listed) == sorted(pages)
    assert yaml.safe_load(config)["docs_dir"] == "build/docs"
    written = {path.name for path in committed() if path.parts[0] == "docs" and path.suffix == ".md"}
    assert set(pages) == written | set(site.GENERATED) | {"index.md"}


def test_links_between_pages_hold(pages):
    broken = [
        f"{name}: {link}"
        for name, text in pages.items()
        for link, page, anchor in re.findall(r"\]\((([\w-]+\.md)?(?:#([\w-]+))?)\)", text)
        if (page and page not in pages) or (anchor and anchor not in anchors(pages[page or name]))
    ]
    assert broken == []


def test_links_to_files_lead_to_the_repository(pages):
    links = re.findall(rf"\]\({re.escape(site.REPOSITORY)}/([^)#]+)", "\n".join(pages.values()))
    assert [link for link in links if not (ROOT / link).exists()] == []
    assert not re.search(r"\]\((\.\./|docs/|conf/|benchmarks/)", "\n".join(pages.values()))


@pytest.mark.slow
@pytest.mark.skipif(find_spec("zensical") is None, reason="the site builder is not installed: pip install '.[docs]'")
def test_the_site_builds_strictly(tmp_path):
    out = tmp_path / "build/docs"
    site.write(out)
    (tmp_path / "mkdocs.yml").write_text((ROOT / "mkdocs.yml").read_text())
    build = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "build/site/configuration/index.html").exists() or (tmp_path / "build/site/configuration.html").exists()
    (out / "tutorial.md").write_text("[nowhere](no-such-page.md)\n")
    assert subprocess.run(build, cwd=tmp_path, capture_output=True, check=False, timeout=120).returncode != 0
