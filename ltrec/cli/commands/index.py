"""`ltrec index RUN`: nearest neighbours among the run's item vectors, and what they find and miss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

import ltrec
from ltrec.cli.options import AsJson, Checkpoint, Data, EvaluationOverrides, OneRun, Weights
from ltrec.core.extension.deferred import Deferred
from ltrec.inference.nearest.options import DEFAULTS
from ltrec.run.process.allocator import keep_freed_memory
from ltrec.terminal.screen import open_screen

if TYPE_CHECKING:
    from ltrec.cli.index_tables import print_index
else:
    print_index = Deferred("ltrec.cli.index_tables:print_index")


def index(
    run: OneRun,
    settings: EvaluationOverrides = None,
    out: Annotated[str | None, typer.Option(help="Folder or address (s3://...) to write; default RUN/index.")] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="Items of the lists that are compared.")] = 10,
    recall: Annotated[float | None, typer.Option(help="Widen searches until every stratum has this recall.")] = None,
    users: Annotated[int, typer.Option(min=1, help="Test users to compare, at most about so many.")] = 2_000,
    seed: Annotated[int, typer.Option(min=0, help="Draws them.")] = 0,
    connectivity: Annotated[int, typer.Option(help="Edges of an item.")] = DEFAULTS.connectivity,
    expansion_build: Annotated[int, typer.Option(help="Items in view while one is inserted.")] = DEFAULTS.expansion_build,
    expansion_search: Annotated[int, typer.Option(help="Items in view in a search.")] = DEFAULTS.expansion_search,
    dtype: Annotated[str, typer.Option(help="Of vectors in the index: f32, f16 or i8.")] = DEFAULTS.dtype,
    threads: Annotated[int, typer.Option(help="That build; 0 = all of this process.")] = DEFAULTS.threads,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an index.")] = False,
    checkpoint: Checkpoint = "best",
    data: Data = None,
    weights: Weights = None,
    as_json: AsJson = False,
) -> None:
    """Build an index of the item vectors for fast recommendations, and compare its lists with those of the full ranking."""
    keep_freed_memory()
    graph: dict[str, Any] = {"connectivity": connectivity, "expansion_build": expansion_build, "expansion_search": expansion_search}
    with open_screen(for_scripts=as_json) as screen:
        found = ltrec.index(
            run,
            *(settings or []),
            out=out,
            k=k,
            recall=recall,
            users=users,
            seed=seed,
            dtype=dtype,
            threads=threads,
            **graph,
            overwrite=overwrite,
            checkpoint=checkpoint,
            data=data,
            weights=weights,
        )
        print_index(found, screen)
        screen.print_json(found.to_dict())
