"""Stratified gradients on one device."""

from __future__ import annotations

from pytorch_lightning.strategies import SingleDeviceStrategy

from ltrec.strategy.stratified import Stratified


class StratifiedSingleDeviceStrategy(Stratified, SingleDeviceStrategy):
    """One process, one device."""

    title = "stratified"
