"""The loop: adapters and a head on good images and their painted copies, checkpointed after every epoch.

All chance of an epoch comes from the seed and its number, so that a run that was killed goes on from its last
checkpoint to the same result.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save as serialise
from torch.nn import functional

from kizu.core.errors import ConfigError, OutputError
from kizu.core.files import write_bytes
from kizu.core.hashing import hash_value
from kizu.core.randomness import rng_for
from kizu.core.types import F32, U8
from kizu.core.work import Work
from kizu.data.defects import paint_stages
from kizu.data.defects.shares import patch_shares
from kizu.tuning.config import TuneConfig
from kizu.tuning.lora import Adapters
from kizu.tuning.losses import total_loss
from kizu.tuning.networks import Network, forward_of

CHECKPOINT = "checkpoint.safetensors"
VALIDATING = 1_000_000
"""In place of an epoch's number: what is painted into validation images is always the same."""
_LENDERS = 8
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pictures:
    """Good images at the network's size, with their ids."""

    ids: tuple[str, ...]
    images: U8
    """(N, H, W, 3)"""


@dataclass(slots=True)
class State:
    """All that a checkpoint holds beside tensors."""

    key: str
    """Of settings and images; another run's checkpoint has another"""
    epoch: int = 0
    losses: list[float] = field(default_factory=list)
    """On validation, before the first epoch and after each"""
    best: float = float("inf")
    waited: int = 0


class Tuning:
    """One run in a folder."""

    def __init__(
        self, network: Network, config: TuneConfig, train: Pictures, validation: Pictures, folder: Path
    ) -> None:
        """Raises `ConfigError` when the sides share an image, or there is none to validate on."""
        shared = {image.tobytes() for image in train.images} & {
            image.tobytes() for image in validation.images
        }
        if shared or set(train.ids) & set(validation.ids):
            raise ConfigError("an image trains and validates", hint="give copies of one image one group")
        if not len(train.images) or not len(validation.images):
            raise ConfigError("there is no image to train or to validate on", hint="give more good images")
        torch.use_deterministic_algorithms(True)
        self.network, self.config, self.train, self.validation = network, config, train, validation
        self.path = folder / CHECKPOINT
        targets = network.targets(config.placement)
        self.adapters = Adapters(targets, config.rank, config.scale, config.dropout, config.seed)
        self._forward = forward_of(network, self.adapters)
        dims = {layer.name: layer.dim for layer in network.spec.layers}
        widths = (sum(dims[name] for name in network.spec.default_layers), *config.head, 2)
        chance = torch.Generator().manual_seed(config.seed + 1)
        self.head = [
            [
                (torch.randn(b, a, generator=chance) * (2 / a) ** 0.5).requires_grad_(),
                torch.zeros(b).requires_grad_(),
            ]
            for a, b in pairwise(widths)
        ]
        self.parameters = dict(self.adapters.parameters)
        for index, layer in enumerate(self.head):
            self.parameters |= {
                f"head.{index}.{part}": p for part, p in zip(("weight", "bias"), layer, strict=True)
            }
        values = list(self.parameters.values())
        self.optimiser = torch.optim.AdamW(values, lr=config.rate, weight_decay=config.decay)
        ids = [
            sorted(train.ids),
            sorted(validation.ids),
            config.model_dump(mode="json"),
            network.spec.weights_sha256,
        ]
        self.state = State(hash_value(ids))
        self.best: dict[str, torch.Tensor] = {}

    def run(self, work: Work = Work(), *, stop_after: int | None = None) -> State:
        """To the end, from the checkpoint where there is one; afterwards the adapters are the best ones.

        `stop_after`: so many epochs of this call, for tests of what a kill leaves.

        Raises `OutputError` for a checkpoint of other settings or images, `CancelledError`.
        """
        torch.set_num_threads(work.core_count)
        if self.path.exists():
            self._load()
        else:
            self._validate()
        done = 0
        while self.state.epoch < self.config.epochs and self.state.waited < self.config.patience:
            if stop_after is not None and done == stop_after:
                return self.state
            self._epoch(work)
            self._validate()
            done += 1
        with torch.no_grad():
            for name, values in self.best.items():
                self.parameters[name].copy_(values)
        return self.state

    def logits(self, images: U8, *, training: bool = False) -> torch.Tensor:
        """(N, H, W, 3) -> (N, h, w, 2): the logit of each patch, and its second output."""
        layers = self._forward(self.pixels(images), training)
        hw = layers[0].shape[2:]
        joined = torch.cat([functional.interpolate(x, hw, mode="bilinear") for x in layers], dim=1).movedim(
            1, -1
        )
        x = functional.layer_norm(joined, joined.shape[-1:])
        for index, (weight, bias) in enumerate(self.head):
            x = functional.linear(functional.relu(x) if index else x, weight, bias)
        return x

    def pixels(self, images: U8) -> torch.Tensor:
        """As the network was trained: (x / 255 - mean) / deviation."""
        mean, std = (np.array(v, np.float32) for v in (self.network.spec.mean, self.network.spec.std))
        return torch.from_numpy(((images / np.float32(255) - mean) / std).transpose(0, 3, 1, 2).copy())

    def _loss(self, images: U8, share: F32, *, training: bool) -> torch.Tensor:
        out = self.logits(images, training=training)
        shares = torch.from_numpy(patch_shares(share, (out.shape[1], out.shape[2]))).reshape(-1)
        return total_loss(out[..., 0].reshape(-1), out[..., 1].reshape(-1), shares, self.config)

    def _batches(self, pictures: Pictures, turn: int, order: Sequence[int]) -> Iterator[tuple[U8, F32]]:
        """Good images and their painted copies."""
        size, seed = self.config.batch, self.config.seed
        for start in range(0, len(order), size):
            rows = list(order[start : start + size])
            good = pictures.images[rows]
            flawed, masks = np.empty_like(good), np.zeros((2 * len(rows), *good.shape[1:3]), np.float32)
            for place, row in enumerate(rows):
                lenders = [(row + step) % len(pictures.images) for step in range(1, _LENDERS + 1)]
                others = [pictures.images[number] for number in lenders if number != row]
                painted = paint_stages(pictures.images[row], pictures.ids[row], seed, others, turn=turn)
                flawed[place], masks[len(rows) + place] = painted.image, painted.mask
            yield np.concatenate([good, flawed]), masks

    def _epoch(self, work: Work) -> None:
        number, config = self.state.epoch, self.config
        order = rng_for(config.seed, "order", str(number)).permutation(len(self.train.images)).tolist()
        torch.manual_seed(int(rng_for(config.seed, "dropout", str(number)).integers(2**62)))
        steps = -(-len(order) // config.batch)
        start = time.perf_counter()
        for step, (images, share) in enumerate(self._batches(self.train, number, order)):
            self.optimiser.zero_grad()
            self._loss(images, share, training=True).backward()
            self.optimiser.step()
            if step == 0 and number == 0:
                each = time.perf_counter() - start
                minutes = each * steps * config.epochs * 1.2 / 60
                work.note(
                    f"tuning will take up to about {minutes:.0f} minutes: {config.epochs} epochs of {steps} steps"
                )
            work.report("tuning", number * steps + step + 1, config.epochs * steps)
        self.state.epoch += 1

    def _validate(self) -> None:
        """Measure, remember the best, and write the checkpoint."""
        order = list(range(len(self.validation.images)))
        with torch.no_grad():
            losses = [
                float(self._loss(images, share, training=False)) * len(images)
                for images, share in self._batches(self.validation, VALIDATING, order)
            ]
        loss = sum(losses) / (2 * len(order))
        _log.info("tuning epoch=%d validation_loss=%.5f", self.state.epoch, loss)
        self.state.losses.append(loss)
        if loss < self.state.best:
            self.state.best, self.state.waited = loss, 0
            self.best = {name: p.detach().clone() for name, p in self.parameters.items()}
        else:
            self.state.waited += 1
        self._save()

    def _save(self) -> None:
        tensors = {f"now/{name}": p.detach() for name, p in self.parameters.items()}
        tensors |= {f"best/{name}": p for name, p in self.best.items()}
        for name, p in self.parameters.items():
            for part, values in self.optimiser.state.get(p, {}).items():
                tensors[f"{part}/{name}"] = values
        state = {name: getattr(self.state, name) for name in State.__slots__}
        tensors = {name: values.contiguous().clone() for name, values in tensors.items()}
        write_bytes(self.path, serialise(tensors, {"state": json.dumps(state)}))

    def _load(self) -> None:
        with safe_open(self.path, "pt") as stored:
            state = State(**json.loads(stored.metadata()["state"]))
            if state.key != self.state.key:
                raise OutputError(
                    f"{self.path} is of other settings or images",
                    hint="choose another --run-id, or remove the folder",
                )
            names = set(stored.keys())
            for name, p in self.parameters.items():
                with torch.no_grad():
                    p.copy_(stored.get_tensor(f"now/{name}"))
                self.best[name] = stored.get_tensor(f"best/{name}")
                parts = ("step", "exp_avg", "exp_avg_sq")
                if f"step/{name}" in names:
                    self.optimiser.state[p] = {part: stored.get_tensor(f"{part}/{name}") for part in parts}
        self.state = state
