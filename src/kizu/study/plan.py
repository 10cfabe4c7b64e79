"""Which trials a study consists of, and in which order fits serve them."""

from collections.abc import Iterator, Mapping

from kizu.study.conditions import CONDITIONS, Key, Source
from kizu.study.config import StudyConfig


def list_keys(config: StudyConfig) -> list[Key]:
    """All trials, in the order of the tables."""
    return [
        key
        for category in config.data
        for method in config.methods
        for seed in config.seeds
        for key in _of(config, category.name, method, seed)
    ]


def _of(config: StudyConfig, category: str, method: str, seed: int) -> Iterator[Key]:
    for name in config.conditions:
        condition = CONDITIONS[name]
        if condition.fit == "global" and len(config.data) < 2:
            continue
        if condition.met == "zero" and seed != config.seeds[0]:
            continue
        for severity in config.severities if condition.has_severity else (0,):
            for count in config.update_counts if condition.fit == "updated" else (0,):
                yield Key(category, method, seed, name, severity, count)


def by_source(keys: list[Key]) -> Mapping[tuple[str, str, int], Mapping[Source, list[Key]]]:
    """(category, method, seed) -> the fits it wants and the trials of each; of global fits the category is empty."""
    found: dict[tuple[str, str, int], dict[Source, list[Key]]] = {}
    for key in keys:
        source = key.source
        group = "" if source.fit == "global" else key.category, key.method, key.seed
        found.setdefault(group, {}).setdefault(source, []).append(key)
    return found
