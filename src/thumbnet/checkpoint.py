"""The full state of a training run in one file, enough to go on bit for bit.

One file rather than a folder, because only a single file can be replaced atomically.
"""

import io
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from thumbnet.errors import CheckpointError
from thumbnet.networks.pair import Pair
from thumbnet.storage import write_atomically

FORMAT = 1


@dataclass(kw_only=True)
class Position:
    """Where training is.

    Attributes:
        epoch: Epochs completed.
        micro_batches: Micro-batches completed in the current epoch.
        step: Optimiser steps completed in all.
        loss_sums: Sum of each loss over the micro-batches of the current epoch.
        seconds: Time that they took.
        lr: Learning rate of the last step.
    """

    epoch: int = 0
    micro_batches: int = 0
    step: int = 0
    loss_sums: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    lr: float = 0.0

    def start_next_epoch(self) -> None:
        """Moves to the first slice of the next epoch."""
        self.epoch, self.micro_batches, self.loss_sums, self.seconds = self.epoch + 1, 0, {}, 0.0


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """Everything that changes while training runs."""

    pair: Pair
    average: ModelEmaV3 | None
    optimizer: Optimizer
    schedule: LambdaLR
    position: Position

    def save(self, path: Path) -> None:
        """Writes the state, atomically.

        Raises:
            StorageError: If the disk is full.
        """
        content: dict[str, Any] = {
            "format": FORMAT,
            "pair": self.pair.state_dict(),
            "average": self.average.state_dict() if self.average else {},
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "position": vars(self.position),
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_atomically(path, buffer.getvalue())

    def restore(self, path: Path) -> None:
        """Takes over a saved state.

        Raises:
            CheckpointError: If the file is damaged or belongs to other networks.
        """
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            if content["format"] != FORMAT:
                raise CheckpointError(
                    f"{path} was written by another version of ThumbNet; start again with --overwrite"
                )
            self.pair.load_state_dict(content["pair"])
            if self.average:
                self.average.load_state_dict(content["average"])
            self.optimizer.load_state_dict(content["optimizer"])
            self.schedule.load_state_dict(content["schedule"])
            vars(self.position).update(content["position"])
            torch.set_rng_state(content["random"])
            if torch.cuda.is_available() and len(content["cuda_random"]) == torch.cuda.device_count():
                torch.cuda.set_rng_state_all(content["cuda_random"])
        except (RuntimeError, KeyError, ValueError, EOFError, TypeError, pickle.UnpicklingError) as error:
            raise CheckpointError(
                f"{path} is damaged or belongs to another run; start again with --overwrite"
            ) from error
