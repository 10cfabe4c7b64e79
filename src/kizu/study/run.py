"""A study from its file to its tables; what was measured before is read again."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kizu.core.errors import DataError, OutputError
from kizu.core.files import read_json, write_json, write_text
from kizu.core.locks import locked
from kizu.core.provenance import machine, package_versions, peak_memory, utc_now
from kizu.core.work import Work
from kizu.study.conditions import Key
from kizu.study.config import StudyConfig
from kizu.study.embedded import write_embedded
from kizu.study.pictures import CategoryPictures, write_pictures
from kizu.study.plan import by_source, list_keys
from kizu.study.record import Record, read_record, write_record
from kizu.study.sanity import Check, check_records
from kizu.study.tables import write_tables
from kizu.study.trials import Bench

STUDY, META, SANITY, NOTES = "study.yaml", "meta.json", "sanity.json", "notes.json"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Study:
    """A finished study."""

    folder: Path
    config: StudyConfig
    records: Mapping[Key, Record]
    """In the order of the tables"""
    checks: tuple[Check, ...]
    notes: Mapping[str, tuple[str, ...]]
    """What was left out and what cannot be computed, by category"""
    computed: int = 0
    """Trials that this call measured; the others were there."""


def measure_study(config: StudyConfig, folder: Path, work: Work = Work()) -> Study:
    """Measure all trials that `folder` does not have yet, check them, and write the tables.

    A call that was killed at any moment goes on where it was. Raises `OutputError` when `folder` holds another study or
    cannot be written (a full disk: what is there stays, and the same call goes on), `DataError` for pictures that are
    not there or have changed since the split was drawn, and where a check failed, after all is written.
    """
    work = replace(work, features_bytes=config.features_mb << 20)
    with locked(folder):
        _ensure_ours(folder, config)
        pictures = {one.name: write_pictures(config, one, folder, work) for one in config.data}
        computed = _measure_all(config, folder, pictures, work)
        for one in pictures.values():
            write_embedded(config, one, folder, work)
        notes = {name: _notes(one) for name, one in pictures.items()}
        write_json(folder / NOTES, notes)
        write_json(folder / META, _meta())
        study = replace(_gather(config, folder, notes), computed=computed)
        write_json(
            folder / SANITY,
            {
                "checks": [
                    {"what": c.what, "trials": c.trials, "failures": list(c.failures)} for c in study.checks
                ]
            },
        )
        write_tables(study.records, folder / "tables")
    failures = [failure for check in study.checks for failure in check.failures]
    if failures:
        raise DataError(
            f"{len(failures)} checks failed, so the numbers cannot be believed: {failures[0]}",
            hint=f"all are in {folder / SANITY}",
        )
    return study


def read_study_folder(folder: Path) -> Study:
    """What `measure_study` has written. Raises `DataError` where it is not complete, naming a trial that is missing."""
    path = folder / STUDY
    if not path.exists():
        raise DataError(f"{path} is missing", hint="make it: kizu study run")
    notes = {
        name: tuple(told) for name, told in read_json(folder / NOTES, hint="run the study to its end").items()
    }
    return _gather(StudyConfig.read(path), folder, notes)


def _gather(config: StudyConfig, folder: Path, notes: Mapping[str, tuple[str, ...]]) -> Study:
    records = {}
    for key in list_keys(config):
        record = read_record(folder, key)
        if record is None or record.study_sha256 != config.sha256():
            raise DataError(
                f"the trial {key} is missing or broken", hint="run the study to its end: kizu study run"
            )
        records[key] = record
    return Study(folder, config, records, tuple(check_records(records)), notes)


def _ensure_ours(folder: Path, config: StudyConfig) -> None:
    path = folder / STUDY
    if path.exists():
        if StudyConfig.read(path).sha256() != config.sha256():
            raise OutputError(f"{folder} holds another study", hint="choose another --output")
        return
    if any(entry.name not in (".lock",) for entry in folder.iterdir()):
        raise OutputError(f"{folder} holds something else", hint="choose another --output")
    write_text(path, config.to_yaml())


def _measure_all(config: StudyConfig, folder: Path, pictures: dict[str, CategoryPictures], work: Work) -> int:
    """How many were measured now."""
    keys = list_keys(config)
    groups = by_source(keys)
    done, computed = 0, 0
    for (_, method, seed), sources in groups.items():
        bench = Bench(config, method, seed, pictures, work)
        for source, wanted in sorted(sources.items()):
            left = [key for key in wanted if not _is_there(folder, key, bench)]
            done += len(wanted) - len(left)
            for record in bench.run(source, left) if left else ():
                write_record(folder, record)
                done, computed = done + 1, computed + 1
                work.report("trials", done, len(keys))
                if record.error is not None:
                    work.note(f"{record.category}, {method}, {record.key.name}: not measured: {record.error}")
    return computed


def _is_there(folder: Path, key: Key, bench: Bench) -> bool:
    record = read_record(folder, key)
    return (
        record is not None
        and record.error is None
        and record.study_sha256 == bench.config.sha256()
        and record.pictures_sha256 == bench.pictures_sha256(key)
    )


def _notes(pictures: CategoryPictures) -> tuple[str, ...]:
    told = [*pictures.notes]
    told += [f"{name} is left out everywhere: {why}" for name, why in pictures.left_out.items()]
    told += [
        f"{which}: {count} pictures were not moved, for their flaw would have left them"
        for which, count in pictures.unmoved.items()
    ]
    return tuple(told)


def _meta() -> dict[str, object]:
    return {
        "finished_at": utc_now(),
        "versions": package_versions(),
        "machine": machine(),
        "peak_memory_mb": peak_memory() >> 20,
    }
