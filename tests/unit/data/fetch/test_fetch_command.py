"""The command: options reach the generator, notices are shown, options that mean nothing are refused."""

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from ltrec import fetch
from ltrec.api import fetch as api
from ltrec.cli.commands import fetch as command
from ltrec.core.errors import UserError
from ltrec.data.fetch import SyntheticConfig, generate
from ltrec.data.fetch.synthetic import generate_log


def run(*arguments):
    app = typer.Typer()
    app.command()(command.fetch)
    result = CliRunner().invoke(app, list(arguments))
    if isinstance(result.exception, UserError):
        raise result.exception
    return result


def test_synthetic_with_every_option(tmp_path):
    result = run("synthetic", "--out", str(tmp_path), "--users", "20", "--items", "15", "--seed", "5", "--events-per-user", "4.5")
    assert result.exit_code == 0
    assert pq.read_table(tmp_path / "events.parquet").equals(generate(SyntheticConfig(20, 15, 5, 4.5)))
    assert "no real user is in it" in result.output
    assert str(tmp_path / "events.parquet") in result.output.replace("\n", "")


def test_synthetic_columns(tmp_path):
    shape = ["--users", "30", "--items", "20", "--seed", "5"]
    output = run(
        "synthetic", "--out", str(tmp_path), *shape, "--columns", "noise", "--category-share", "0.3", "--new-items", "4"
    ).output
    config = SyntheticConfig(30, 20, 5, columns="noise", category_share=0.3, new_items=4)
    assert {p.name: pq.read_table(p) for p in tmp_path.glob("*.parquet")} == generate_log(config)
    assert "--columns noise --category-share 0.3 --new-items 4" in output.replace("\n", " ")
    assert str(tmp_path / "items.parquet") in output.replace("\n", "")
    log = fetch("synthetic", tmp_path / "again", users=30, items=20, seed=5)
    assert (log.items, log.users, "items" in log.to_dict()) == (None, None, False)


def test_default_folder_is_named_after_the_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("synthetic", "--users", "5", "--items", "10")
    assert (tmp_path / "data/raw/synthetic/events.parquet").exists()


def test_published_data_shows_progress_notes_and_licence(tmp_path, monkeypatch):
    def fake(name, out, *, on_progress, on_note):
        on_progress("mirror", 0, 0)
        on_progress("mirror", 5, 10)
        on_note("[mirror one] did not work")
        out.mkdir(parents=True)
        (out / "NOTICE.txt").write_text("the owners' terms")
        return out / "events.parquet"

    monkeypatch.setattr(api, "fetch_published", fake)
    output = run("ml-100k", "--out", str(tmp_path / "out")).output
    assert "[mirror one] did not work" in output
    assert "the owners' terms" in output


def test_an_option_that_would_do_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="--events-per-user shapes a synthetic log"):
        run("ml-100k", "--events-per-user", "9", "--out", str(tmp_path))


def test_unknown_name(tmp_path):
    with pytest.raises(UserError, match="no data set 'ml-1m'"):
        run("ml-1m", "--out", str(tmp_path))
