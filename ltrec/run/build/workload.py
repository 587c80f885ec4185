"""Config -> `Workload`: shapes of the model, which is built on the meta device and takes no memory, and the geometry of a step.

With a prepared data set lengths, strata and popularity are its own. Without, or for a catalogue of another size, rows are as long
as `stream.max_len` lets them be, strata are as many as configured, and a step touches as many rows as it reads items: upper bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ltrec.aggregation import RULES
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.strata import Strata
from ltrec.costs.distinct import most_distinct
from ltrec.costs.workload import ENGINES, Workload
from ltrec.distributed.alignment.first_steps import tasks_at_once
from ltrec.distributed.alignment.trajectories import num_trajectories
from ltrec.distributed.gradients_config import AlignedConfig, StratifiedConfig
from ltrec.distributed.strategies import STRATEGIES
from ltrec.models.backbones import BACKBONES
from ltrec.models.inputs import NO_INPUTS, IdVectors
from ltrec.models.layout import length_groups
from ltrec.models.plugins import WithPlugins
from ltrec.objectives import OBJECTIVES, Objective
from ltrec.objectives.adversary import Adversary
from ltrec.objectives.draw import FewItemsObjective
from ltrec.objectives.emphasis import EMPHASES
from ltrec.optim.config import SGDConfig
from ltrec.optim.optimizers import OPTIMIZERS
from ltrec.run.build.combinations import refuse_combinations
from ltrec.run.build.components import Data, assemble_backbone, build_backbone, build_plan
from ltrec.run.build.inputs import competing_items
from ltrec.run.build.options import options_of
from ltrec.run.build.strata import strata_of
from ltrec.run.build.touched import decide_rows, expected_rows, mean_window, obstacle_to_touching
from ltrec.strategy.module import segments_obstacle, splits_on
from ltrec.strategy.options import PROBE_EVERY, choose_mode, choose_source, refuse_replay


@dataclass(frozen=True, slots=True)
class Sequences:
    """The sequences of a step.

    Attributes:
        items: V.
        strata: of training.
        positions: of a row, on average.
        largest_stratum: share of all positions in one stratum at most.
        train_count: training events of every item; None where they are not known.
    """

    items: int
    strata: Strata
    positions: float
    largest_stratum: float
    train_count: Tensor | None


def workload_of(
    config: RunConfig, data: Data | None, *, items: int = 0, world: int = 1, launches_cost: bool = False
) -> tuple[Workload, list[str]]:
    """What a step has to do, and lines to print about it.

    Args:
        config: of the run.
        data: the data set; None if there is none yet.
        items: V, if it is not that of the data set.
        world: W.
        launches_cost: whether the device is one where starting an operation is what it costs (a GPU).

    Raises:
        UserError: settings that cannot work, or a catalogue of unknown size.
    """
    refuse_combinations(config)
    found = _sequences(config, data, items)
    module, objective = _on_meta(config, data, found), _objective(config, found)
    rows, about = _rows(config, data, found, module, objective)
    work = Workload(
        items=found.items,
        rows=config.stream.batch_rows,
        positions=config.stream.batch_rows * found.positions,
        longest=config.stream.max_len,
        groups=_groups(config, found.positions, world, parts=1),
        groups_of_stratum=_groups(config, found.positions, world, parts=found.strata.count),
        strata=found.strata.count,
        largest_stratum=found.largest_stratum,
        touched=rows,
        engine=_engine(config, world),
        accumulate=config.trainer.accumulate,
        average=config.trainer.ema > 0,
        half=config.trainer.precision != "32-true",
        **_shapes(config, module),
        **_loss(config, found),
        **_gradients(config, world),
        **_source(config, world, module["backbone"], objective, launches_cost=launches_cost),
        **_inner_steps(config, found, world, module, objective),
        **_optimiser(config),
    )
    if work.mode == "replay":
        keeps = STRATEGIES[config.registered_strategy].keeps_micro_batches
        refuse_replay([config.trained_plugin.name] * (work.plugins > 0), 1 if keeps else work.accumulate)
    return work, [*_assumed(found, data, items), about]


def _sequences(config: RunConfig, data: Data | None, items: int) -> Sequences:
    if data is None:
        if not items:
            raise UserError("how many items? name a prepared data set (data.path=DIR), or give --items V")
        count = config.strata or config.prepare.strata
        strata = Strata(tuple(range(2, 2 + count)), (1,) * count, (1,) * count, head_from=1 + count)
        return Sequences(items, strata, config.stream.max_len, 1.0, None)
    plan, train_count = build_plan(config, data), data.vocabulary.train_count
    longest, trained = plan.max_len + 1, plan.trained
    of_strata = [
        users * min(events / users, longest) for users, events in zip(trained.users_K, trained.events_K, strict=True) if users
    ]
    return Sequences(
        items or data.manifest.vocab.items,
        strata_of(config, data.manifest),
        max(1.0, mean_window(train_count, plan) - 1),
        max(of_strata) / sum(of_strata),
        None if items not in (0, data.manifest.vocab.items) else train_count,
    )


def _on_meta(config: RunConfig, data: Data | None, found: Sequences) -> nn.ModuleDict:
    """Backbone, plugins and adversary, without memory."""
    if config.inputs and (data is None or found.train_count is None):
        raise UserError("inputs.* name columns of a data set: prepare it, and leave --items out; or take inputs.* out")
    with torch.random.fork_rng([]), torch.device("meta"):
        if data is None or found.train_count is None:
            backbone = assemble_backbone(config, found.items, NO_INPUTS, found.strata)
        else:
            backbone = build_backbone(config, data)
        parts = {"backbone": backbone}
        if config.adversary.weight:
            parts["adversary"] = Adversary(_width(config), (found.strata.count - 1,), **options_of(config.adversary))
        return nn.ModuleDict(parts)


def _objective(config: RunConfig, found: Sequences) -> Objective:
    """The loss; of a catalogue without counts only its kind is of use, so that a small one does."""
    count = torch.ones(3, dtype=torch.int64) if found.train_count is None else found.train_count
    among = competing_items(count) if config.inputs.items else None
    return OBJECTIVES[config.objective.name].make(
        **options_of(config.objective), train_count=count, gather=lambda ids: ids, among=among
    )


def _rows(
    config: RunConfig, data: Data | None, found: Sequences, module: nn.ModuleDict, objective: Objective
) -> tuple[float | None, str]:
    """Rows with a gradient, None if all have one; and the line that a run prints about it."""
    obstacle = obstacle_to_touching(config, module["backbone"], objective)
    rows = 0.0
    if obstacle is None and data is not None and found.train_count is not None:
        assert isinstance(objective, FewItemsObjective)
        rows = expected_rows(objective, found.train_count, build_plan(config, data))
    elif obstacle is None:
        positions = config.stream.batch_rows * found.positions
        drawn = getattr(config.objective, "negatives", 0)
        drawn = drawn if getattr(config.objective, "scope", "position") == "shared" else drawn * positions
        rows = most_distinct(2 * positions + drawn, found.items)
    touches, about = decide_rows(config, obstacle, rows, found.items)
    return (rows if touches else None), about


def _groups(config: RunConfig, mean: float, world: int, parts: int) -> int:
    """Rectangles of rows of a pass, with lengths spread evenly about the mean; of one of several strata less widely."""
    rows = max(1, config.stream.batch_rows // (world * config.trainer.accumulate * parts))
    half = (min(mean, config.stream.max_len - mean + 1) - 0.5) / parts
    middles = [mean + half * (2 * (row + 0.5) / rows - 1) for row in range(rows)]
    counts = [0] * (config.stream.max_len + 1)
    for length in middles:
        counts[min(config.stream.max_len, max(1, round(length)))] += 1
    return len(length_groups(counts))


def _shapes(config: RunConfig, module: nn.ModuleDict) -> dict[str, Any]:
    """Numbers of parameters, by where they are."""
    backbone = module["backbone"]
    owner = backbone.plugin_of if isinstance(backbone, WithPlugins) else (lambda _: None)
    tables = {id(m.weight) for m in backbone.modules() if isinstance(m, IdVectors)}
    looked_up = {id(p) for m in module.modules() if isinstance(m, nn.Embedding) for p in m.parameters(recurse=False)}
    found = {"table": 0, "dense": 0, "plugins": 0}
    matrices, tensors = 0.0, 0
    strata = {owner(name.partition(".")[2]) for name, _ in module.named_parameters()} - {None}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            own = owner(name.partition(".")[2]) if name.startswith("backbone.") else None
            place = "plugins" if own is not None else "table" if id(parameter) in tables else "dense"
            found[place] += parameter.numel()
            tensors += 1
            multiplies = parameter.ndim >= 2 and id(parameter) not in looked_up
            matrices += parameter.numel() * multiplies / (1 if own is None else len(strata))
    return {
        **found,
        "matrices": round(matrices),
        "tensors": tensors,
        "width": _width(config),
        "backbone": config.model.name,
        **_depth(config),
    }


def _depth(config: RunConfig) -> dict[str, int]:
    """Layers and heads, under the names that a backbone has for them."""
    layers = getattr(config.model, "blocks", getattr(config.model, "layers", 1))
    return {"layers": layers if isinstance(layers, int) else len(layers), "heads": getattr(config.model, "heads", 1)}


def _width(config: RunConfig) -> int:
    return int(getattr(config.model, "width", 64))


def _loss(config: RunConfig, found: Sequences) -> dict[str, Any]:
    """What a position is scored against."""
    objective, row = config.objective, OBJECTIVES[config.objective.name]
    drawn = getattr(objective, "negatives", found.items)
    in_batch = round(config.stream.batch_rows * found.positions / config.trainer.accumulate)
    return {
        "objective": objective.name,
        "candidates": in_batch if row.couples_rows else drawn,
        "shared": getattr(objective, "scope", "position") == "shared",
        "keep_bytes": getattr(objective, "keep_mib", 0) * 2**20,
        "candidate_passes": not BACKBONES[config.model.name].has_states,
    }


def _gradients(config: RunConfig, world: int) -> dict[str, Any]:
    """How gradients are computed."""
    gradients, combination = config.gradients, config.combination
    if combination is None:
        return {"mode": "joint"}
    name = config.registered_strategy
    name = name if world == 1 else STRATEGIES[name].several_processes or name
    kind = RULES[combination.rule.name].kind
    mode = choose_mode(gradients.mode if isinstance(gradients, StratifiedConfig) else "aligned", kind, STRATEGIES[name].modes, name)
    if not isinstance(gradients, StratifiedConfig):
        return {"mode": mode}
    every = PROBE_EVERY.get(mode, 0) if gradients.probe_every_steps is None else gradients.probe_every_steps
    reads = kind == "gram"
    return {"mode": mode, "gram_rule": reads, "gram_share": 1.0 if reads else 1 / every if every else 0.0}


def _source(config: RunConfig, world: int, backbone: nn.Module, objective: Objective, *, launches_cost: bool) -> dict[str, Any]:
    """How a micro-batch yields gradients by stratum, as a strategy would choose it."""
    if config.combination is None:
        return {}
    emphasis = EMPHASES[config.emphasis.name].make(gather=lambda ids: ids, **options_of(config.emphasis))
    obstacle = segments_obstacle(backbone, objective)
    if not STRATEGIES[config.registered_strategy].can_touch_rows:
        obstacle = "parameters are partitioned"
    coupled, mode = objective.coupled or emphasis.coupled, _gradients(config, world)["mode"]
    wanted, pays = config.combination.source, not splits_on(backbone, accelerator=launches_cost)
    return {"source": choose_source(wanted, coupled=coupled, mode=mode, obstacle=obstacle, pays=pays)}


def _inner_steps(config: RunConfig, found: Sequences, world: int, module: nn.ModuleDict, objective: Objective) -> dict[str, Any]:
    """What a process does for a micro-batch when gradients are aligned."""
    alignment, rows, parts = config.gradients, config.stream.batch_rows, config.trainer.accumulate
    if not isinstance(alignment, AlignedConfig):
        return {}
    total = num_trajectories(alignment, batch_rows=rows, processes=world, micro_batches=parts, lanes=config.stream.lanes)
    own = total // (world * parts)
    steps = alignment.inner_steps if alignment.tasks == "user" else found.strata.count
    at_once = min(own, tasks_at_once(sum(p.numel() for p in module.parameters())))
    shares = at_once > 1 and segments_obstacle(module["backbone"], objective) is None
    return {"trajectories": own, "inner_steps": own * steps, "first_passes": -(-own // at_once) if shares else 0}


def _engine(config: RunConfig, world: int) -> str:
    name = config.strategy.name
    return ("one" if world == 1 else "ddp") if name in ("auto", "ddp") else ENGINES[ENGINES.index(name)]


def _optimiser(config: RunConfig) -> dict[str, Any]:
    by_row = OPTIMIZERS[config.optim.name].by_row
    if isinstance(config.optim, SGDConfig):
        return {"states": int(config.optim.momentum > 0), "counts_steps": False, "by_row": by_row}
    return {"states": 2, "counts_steps": True, "by_row": by_row}


def _assumed(found: Sequences, data: Data | None, items: int) -> list[str]:
    """What was not known."""
    if data is None:
        return [f"no data set: rows of {found.positions:g} positions (stream.max_len), as many rows touched as items are read"]
    if found.train_count is None:
        return [f"{items:,} items: lengths and strata are the data set's; as many rows touched as items are read"]
    return []
