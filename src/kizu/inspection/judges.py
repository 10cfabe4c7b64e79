"""Which model judges a picture: the only one there is, or the one of the product that the picture shows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kizu.core.errors import BundleError, ConfigError
from kizu.core.hashing import hash_value
from kizu.core.work import Work
from kizu.data.batches import Source
from kizu.data.passed import PassedOver
from kizu.decision.policy import PolicyConfig
from kizu.inspection.declared import ReportAssumedGood
from kizu.inspection.inspector import Inspector
from kizu.inspection.mixed import MixedReport
from kizu.inspection.open_models import OpenModels
from kizu.inspection.report import Report
from kizu.inspection.retrieval import Retrieved, Retriever
from kizu.inspection.shelf_contents import Contents
from kizu.inspection.shelf_models import Entry
from kizu.inspection.tally import Tally
from kizu.pipeline.vectors import VectorNetwork
from kizu.runtimes.model import read_model


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who judges a picture."""

    inspector: Inspector | None
    """None: it shows none of the products."""
    retrieved: Retrieved | None = None
    """What its looks say; None where there is one model."""


@dataclass(frozen=True, slots=True)
class Judges:
    """What was opened when an inspection began, and judges to its end. Safe to share between threads."""

    inspectors: Mapping[str, Inspector]
    """By product."""
    retriever: Retriever | None = None
    """None: one model, which judges every picture."""
    looks: Mapping[str, str] = field(default_factory=dict)
    """By product the hash of what it looks like."""

    @classmethod
    def one(cls, inspector: Inspector) -> "Judges":
        """That judges every picture, whatever it shows."""
        return cls({inspector.manifest.category: inspector})

    @property
    def only(self) -> Inspector | None:
        """The one that judges every picture; None where there are several."""
        return next(iter(self.inspectors.values())) if self.retriever is None else None

    @property
    def work(self) -> Work:
        """What they may use."""
        return next(iter(self.inspectors.values())).work

    def choose(self, content: Source) -> Chosen:
        """Who judges a picture that was read. Raises `ImageError`."""
        if self.retriever is None:
            return Chosen(self.only)
        retrieved = self.retriever.retrieve(content)
        return Chosen(None if retrieved.name is None else self.inspectors[retrieved.name], retrieved)

    def settings(self) -> dict[str, Any]:
        """What verdicts depend on: models, what their products look like, and how is decided."""
        first = next(iter(self.inspectors.values()))
        decided = {
            "policy": first.policy.config.model_dump(mode="json"),
            "roi": None if first.roi is None else first.roi.sha256,
        }
        if self.retriever is None:
            return {
                "bundle_sha256": first.bundle_sha256,
                "category": first.manifest.category,
                **decided,
            }
        products = {
            name: {"bundle_sha256": inspector.bundle_sha256, "looks_sha256": self.looks[name]}
            for name, inspector in sorted(self.inspectors.items())
        }
        return {"products": products, **decided}

    def report(
        self,
        tally: Tally,
        passed_over: Sequence[PassedOver] = (),
        assumed_good: Mapping[str, ReportAssumedGood] = {},
    ) -> Report | MixedReport:
        """What pictures add up to. `assumed_good`: by product."""
        if self.retriever is None:
            ((name, inspector),) = self.inspectors.items()
            return tally.report(inspector.manifest, passed_over, assumed_good.get(name))
        parts = {
            name: tally.part(name).report(inspector.manifest, (), assumed_good.get(name))
            for name, inspector in self.inspectors.items()
        }
        return tally.mixed_report(parts, passed_over)


def find_entries(paths: Sequence[Path], runtime: str) -> tuple[Entry, ...]:
    """The models that `paths` are or hold, one for each product, all of which know what their product looks like.

    Raises `BundleError` where one cannot be taken, for its product's pictures would be taken for another's; and
    `ConfigError` for what no picture can tell: two models of one product, and models that know nothing of its looks.
    """
    contents = Contents().looked_at_again(paths, runtime, _nothing_is_open)
    if contents.problems:
        problem = contents.problems[0]
        raise BundleError(problem.message, hint=problem.hint)
    entries = tuple(contents.entries.values())
    if not entries:
        raise BundleError(
            f"there is no model in {', '.join(map(str, paths))}",
            hint="give run folders, bundles, exported files, or folders of them",
        )
    for category, count in Counter(entry.model.category for entry in entries).items():
        if count > 1:
            where = [str(entry.model.path) for entry in entries if entry.model.category == category]
            raise ConfigError(
                f"{count} models are of {category}, and no picture tells which of them is to judge it:"
                f" {', '.join(where)}",
                hint="give one of them",
            )
    for entry in entries:
        if entry.references is None:
            raise ConfigError(
                f"{entry.model.path} does not know what {entry.model.category} looks like, and its pictures would be"
                " taken for another product's",
                hint="kizu index RUN makes that once; a file is then exported again",
            )
    return entries


def open_judges(
    entries: Sequence[Entry],
    *,
    policy: PolicyConfig = PolicyConfig(),
    signed_by: Path | None = None,
    work: Work = Work(),
) -> Judges:
    """All of them, open. A model that changes afterwards changes no verdict: whoever calls again meets the new one.

    `signed_by`: as for `Inspector.open`. Raises `BundleError` for files that are others than when they were found.
    """
    models = OpenModels(None, work)
    inspectors: dict[str, Inspector] = {}
    for entry in entries:
        if signed_by is not None:
            _ensure_signed(entry, signed_by)
        opened = models.get(entry)
        inspectors[entry.model.category] = Inspector(
            opened.source,
            category=entry.model.category if entry.of_several else None,
            policy=policy,
            work=work,
            pipeline=opened.scorer,
        )
    products = {entry.model.category: entry.references for entry in entries if entry.references is not None}
    looks = {name: hash_value(product.model_dump(mode="json")) for name, product in products.items()}
    return Judges(inspectors, Retriever(products, VectorNetwork(work)), looks)


def _nothing_is_open(old: Sequence[Entry], new: Sequence[Entry]) -> None:
    """What a shelf does with what it has open when it changes."""


def _ensure_signed(entry: Entry, key: Path) -> None:
    if entry.model.kind != "exported":
        raise BundleError(
            f"{entry.model.path} is not an exported file, and only those are signed", hint="give the file"
        )
    if read_model(entry.place, signed_by=key).files_sha256 != entry.files_sha256:
        raise BundleError(f"{entry.place} has changed since it was looked at", hint="give the command again")
