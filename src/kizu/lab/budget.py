"""What a pipeline may cost, and what it does."""

import math
from dataclasses import dataclass, replace

from kizu.core.work import free_memory
from kizu.pipeline.config import PipelineConfig


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent; None: whatever it takes."""

    latency_ms: float | None = None
    """For one image, decoded and at the network's size, by itself."""
    memory_mb: float | None = None
    """At the peak of the fit. None: what the machine has free."""
    fit_seconds: float | None = None
    pixels: int | None = None
    """Of the network's input."""
    latency_ratio: float | None = None
    """So many times what the default takes, measured beside it."""

    def beside(self, default_ms: float) -> "Budget":
        """With the latency that the ratio allows, where the default takes so long."""
        if self.latency_ratio is None:
            return self
        allowed = self.latency_ratio * default_ms
        told = allowed if self.latency_ms is None else min(allowed, self.latency_ms)
        return replace(self, latency_ms=told)

    def exceeded(self, config: PipelineConfig, cost: "Cost") -> tuple[str, ...]:
        """What of it a pipeline would break, in words."""
        broken = [
            *self.over_memory(cost.memory_bytes),
            *_over("fit", cost.fit_seconds, self.fit_seconds, "s"),
            *self.over_latency(cost.latency_ms),
        ]
        seen = math.prod(config.placement.seen_hw)
        if self.pixels is not None and seen > self.pixels:
            broken.append(f"input {seen} pixels of {self.pixels}")
        return tuple(broken)

    def over_latency(self, ms: float, slack: float = 1.0) -> tuple[str, ...]:
        """In words, where one image takes more than `slack` times what is allowed; else nothing."""
        return _over("latency", ms, self.latency_ms, "ms", slack)

    def over_memory(self, peak: int) -> tuple[str, ...]:
        """The same of bytes at the peak of the fit."""
        free_mb = free_memory() / 2**20 if self.memory_mb is None else self.memory_mb
        return _over("memory", peak / 2**20, free_mb, "MB")


def _over(what: str, value: float, limit: float | None, unit: str, slack: float = 1.0) -> tuple[str, ...]:
    is_over = limit is not None and value > slack * limit
    return (f"{what} {value:.3g} {unit} of {limit:.3g}",) if is_over else ()


@dataclass(frozen=True, slots=True)
class Cost:
    """What a pipeline takes on this machine, as busy as it is now, with all good images."""

    fit_seconds: float
    memory_bytes: int
    """At the peak of that fit."""
    latency_ms: float
    """Measured; beyond the sample's patches scaled with the size of the bank."""
