"""The evaluation protocol of a run: candidates, and whether items of the history are filtered."""

from __future__ import annotations

from ltrec.config.tree import RunConfig
from ltrec.evaluation.baselines import BASELINES
from ltrec.evaluation.catalogue import ItemCatalogue
from ltrec.evaluation.ranking import Negatives
from ltrec.evaluation.table import SEEN, Protocol
from ltrec.run.build.components import Data


def protocol_of(config: RunConfig, data: Data, split: str) -> Protocol:
    """The run's evaluation protocol on a split."""
    negatives = negatives_of(config)
    return Protocol(
        manifest=data.manifest.digest,
        split=split,
        candidates=config.evaluation.candidates if negatives is None else negatives.phrase,
        filter_seen=config.evaluation.filter_seen,
    )


def baseline_protocol(protocol: Protocol, name: str) -> Protocol:
    """The run's protocol, except that baselines that only score seen items do not filter them."""
    return Protocol(protocol.manifest, protocol.split, protocol.candidates, protocol.filter_seen and BASELINES[name])


def negatives_of(config: RunConfig) -> Negatives | None:
    """The sampled candidates; None for a full ranking."""
    evaluation = config.evaluation
    return Negatives(evaluation.sampled_negatives, evaluation.seed) if evaluation.candidates == "sampled" else None


def num_candidates(config: RunConfig, data: Data) -> int | None:
    """Number of items that may be recommended, from id 1 on (ids fall with the training count): those with training events where
    `candidates` is `seen`; None = all. Sampled candidates are a way to rank a target, not to recommend."""
    return ItemCatalogue.of(data.vocabulary.train_count).num_seen if config.evaluation.candidates == SEEN else None
