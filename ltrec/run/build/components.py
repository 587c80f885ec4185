"""The composition root: builds the objects of a run from its RunConfig. What Lightning trains is built in `training`, so that
ranking does without Lightning."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ltrec.columns.schema import Projection
from ltrec.config.tree import RunConfig
from ltrec.core.errors import UserError
from ltrec.core.hashing import mix
from ltrec.core.storage.remote.url import is_url
from ltrec.core.strata import Strata
from ltrec.core.world import World
from ltrec.data.manifest import Manifest
from ltrec.data.remote.folder import manifest_of, open_folder
from ltrec.data.stream.order.plan import Plan
from ltrec.data.stream.quarantine.quarantine import Quarantine
from ltrec.data.stream.reading.histories import SplitHistories
from ltrec.data.stream.reading.vocabulary import Vocabulary
from ltrec.distributed.collectives import all_gather_ids
from ltrec.evaluation.table import SEEN
from ltrec.models.backbones import BACKBONES, Backbone, CandidateScorer, Encoder
from ltrec.models.inputs import Inputs
from ltrec.models.plugins import PLUGINS
from ltrec.objectives import OBJECTIVES, Objective
from ltrec.objectives.adversary import Adversary
from ltrec.objectives.emphasis import EMPHASES
from ltrec.run.build.inputs import build_inputs, competing_items, projection_of
from ltrec.run.build.options import options_of
from ltrec.run.build.strata import heirs_of, merged_strata, strata_of, trained_strata
from ltrec.run.node_copy.copying import copy_of
from ltrec.terminal.screen import note
from ltrec.training.position_losses import PositionLosses
from ltrec.training.validation import Validator


@dataclass(frozen=True, slots=True)
class Data:
    """A prepared data set, opened."""

    folder: Path
    """Folder that is read: `data.path`, its copy on this node, or what stands for a store in the node's cache."""
    manifest: Manifest
    vocabulary: Vocabulary


def open_data(config: RunConfig) -> Data:
    """Open the data set that `data.path` names.

    Raises:
        UserError: it is not named, missing or damaged.
    """
    if not config.data.path:
        raise UserError("data.path is not set: name the folder that 'ltrec prepare' wrote, data.path=DIR, or a conf/data/*.yaml")
    folder = open_folder(config.data.path, config.data.cache)
    manifest = manifest_of(folder)
    read_from = folder if is_url(config.data.path) else copy_of(folder, manifest)
    return Data(read_from, manifest, Vocabulary.load(read_from, manifest))


def build_backbone(config: RunConfig, data: Data) -> nn.Module:
    """The backbone with its plugins, if any; its initial weights only depend on the run's seed."""
    inputs = build_inputs(config.inputs, data.folder, data.manifest, data.vocabulary)
    return assemble_backbone(config, data.manifest.vocab.items, inputs, strata_of(config, data.manifest))


def assemble_backbone(config: RunConfig, items: int, inputs: Inputs, strata: Strata) -> nn.Module:
    """The backbone of `build_backbone`, of a catalogue and strata that need not be those of a data set."""
    row = BACKBONES[config.model.name]
    torch.manual_seed(mix(config.seed, 0) >> 1)
    offered = {"num_items": items, "max_len": config.stream.max_len, "inputs": inputs}
    backbone = row.make(**offered, **options_of(config.model))
    _refuse_other_kind(row, backbone)
    plugin = config.trained_plugin
    if plugin.name == "none":
        return backbone
    for_plugin = {"strata": strata, "num_strata": strata.count, "seed": config.seed, "max_len": config.stream.max_len}
    return PLUGINS[plugin.name].make(backbone, **for_plugin, **options_of(plugin))


def _refuse_other_kind(row: Backbone, backbone: nn.Module) -> None:
    """Check a backbone, perhaps of a plug-in package, against its registry row: what it lacks would fail inside the first step."""
    wanted = Encoder if row.has_states else CandidateScorer
    if not isinstance(backbone, wanted):
        raise UserError(
            f"model.name={row.name}: {type(backbone).__name__} of {row.module} is registered with has_states={row.has_states}, but "
            f"is no {wanted.__name__} (ltrec/models/backbones/protocol.py): give it that protocol's methods, or has_states="
            f"{not row.has_states}"
        )


def build_position_losses(config: RunConfig, vocabulary: Vocabulary) -> PositionLosses:
    """The loss at every position."""
    emphasis = EMPHASES[config.emphasis.name].make(gather=all_gather_ids, **options_of(config.emphasis))
    return PositionLosses(build_objective(config, vocabulary), emphasis)


def build_adversary(config: RunConfig, manifest: Manifest, backbone: nn.Module) -> Adversary | None:
    """The head/tail discriminator, if adversary.weight > 0.

    Raises:
        UserError: training has no users of the head, or none of the tail.
    """
    if not config.adversary.weight:
        return None
    strata = strata_of(config, manifest)
    assert isinstance(backbone, Encoder), "refused in combinations"
    head = tuple(range(strata.first_head, strata.count))
    if not head:
        raise UserError(
            f"adversary.weight={config.adversary.weight:g} tells head from tail, and data set {manifest.name!r} has one stratum "
            "only; prepare it again with strata=2 or more and --overwrite, or use adversary.weight=0"
        )
    drawn = trained_strata(config, manifest)
    if not {*head} & {*drawn} or not {*drawn} - {*head}:
        raise UserError(
            f"adversary.weight={config.adversary.weight:g} tells head from tail, and of data set {manifest.name!r} training sees "
            f"{'no user of the tail' if {*drawn} <= {*head} else 'no user of the head'}; use stream.users=all, other "
            "strata, or adversary.weight=0"
        )
    torch.manual_seed(mix(config.seed, 2) >> 1)  # its initial weights must not depend on plugins
    return Adversary(backbone.item_table.shape[1], head, **options_of(config.adversary))


def build_objective(config: RunConfig, vocabulary: Vocabulary) -> Objective:
    """The loss, with the training popularity that its negatives and corrections need."""
    row, count = OBJECTIVES[config.objective.name], vocabulary.train_count
    among = competing_items(count) if config.inputs.items else None
    return row.make(**options_of(config.objective), train_count=count, gather=all_gather_ids, among=among)


def build_plan(config: RunConfig, data: Data) -> Plan:
    """The plan of all training batches."""
    return Plan.of(data.manifest, config.seed, config.stream, merged_strata(config, data.manifest))


def total_steps(config: RunConfig, plan: Plan) -> int:
    """Optimiser steps of the whole run."""
    by_epochs = config.trainer.max_epochs * plan.steps_per_epoch
    return by_epochs if config.trainer.max_steps < 0 else min(by_epochs, config.trainer.max_steps)


def build_validator(config: RunConfig, data: Data) -> Validator:
    """Validation during training, with the filter and the head cut of `ltrec evaluate`."""
    strata, head_from = data.manifest.strata, config.evaluation.head_from
    if head_from is not None:
        strata = dataclasses.replace(strata, head_from=head_from)
    evaluation = config.evaluation
    return Validator(
        strata,
        filter_seen=evaluation.filter_seen,
        monitor=config.trainer.monitor,
        more=evaluation.metrics,
        items=seen_items(config, data),
    )


def seen_items(config: RunConfig, data: Data) -> int | None:
    """Number of candidate items (ids 1 to n) if items without training events are excluded; else None."""
    return int((data.vocabulary.train_count > 0).sum()) if config.evaluation.candidates == SEEN else None


def quarantine_of(config: RunConfig, manifest: Manifest, world: World) -> Quarantine | None:
    """What lets training survive damaged row groups, if that is wanted."""
    if config.stream.on_damage == "fail":
        return None
    return Quarantine(manifest, config.stream.damage_budget, note, speaks=world.rank == 0)


def build_histories(config: RunConfig, data: Data, split: str, quarantine: Quarantine | None = None) -> SplitHistories:
    """The users of one evaluation split, in fixed chunks, routed as the model was trained; those of damaged row groups left out
    if there is a quarantine, which only validation during training has."""
    return SplitHistories(
        data.folder,
        data.manifest,
        split,
        max_len=config.stream.max_len,
        chunk_rows=config.evaluation.chunk_rows,
        strata=strata_of(config, data.manifest),
        heirs=heirs_of(config, data.manifest),
        columns=projected(config, data.manifest),
        quarantine=quarantine,
    )


def projected(config: RunConfig, manifest: Manifest) -> Projection:
    """Columns of events and users that the stream reads for the model."""
    return projection_of(config.inputs, manifest, times=BACKBONES[config.model.name].reads_times(config.model))
