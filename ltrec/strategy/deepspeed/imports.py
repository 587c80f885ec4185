"""The one place where DeepSpeed is imported. It reads its environment while it is imported, so that must be right before.

Importing it costs seconds, so `ltrec.strategy` does not do it until a DeepSpeed strategy is used (`deepspeed_stage`).
"""

from __future__ import annotations

import logging
import os
import warnings

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else it probes for devices, and may pick one that torch does not see

import deepspeed
from deepspeed.runtime.checkpoint_engine.checkpoint_engine import CheckpointEngine
from deepspeed.runtime.fp16.loss_scaler import LossScaler
from deepspeed.runtime.zero.config import ZeroStageEnum
from deepspeed.runtime.zero.partition_parameters import ZeroParamStatus
from deepspeed.utils.tensor_fragment import fragment_address

# DeepSpeed still calls these by their old names (torch 2.13 renamed them), every step.
warnings.filterwarnings("ignore", message=r"`torch\.distributed\.\w+` is deprecated", category=FutureWarning)
# "initializing deepspeed distributed", once per rank.
logging.getLogger("pytorch_lightning.strategies.deepspeed").setLevel(logging.WARNING)

__all__ = ["CheckpointEngine", "LossScaler", "ZeroParamStatus", "ZeroStageEnum", "deepspeed", "fragment_address"]
