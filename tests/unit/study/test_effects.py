"""What a study says of its numbers rests on the tests beside them."""

from collections.abc import Sequence

import numpy as np
import pytest

from kizu.metrics.compare import delong
from kizu.study.conditions import Key
from kizu.study.effects import compare_all
from kizu.study.record import Record
from kizu.study.run import Study


def record(condition: str, method: str, seed: int, good: Sequence[float], bad: Sequence[float]) -> Record:
    severity = 0 if condition == "clean" else 3
    scores = (*good, *bad)
    threshold = 0.5
    kinds = ("good",) * len(good) + ("dent",) * len(bad)
    labels = np.array([kind != "good" for kind in kinds])
    hits = int((np.array(scores)[labels] > threshold).sum())
    alarms = int((np.array(scores)[~labels] > threshold).sum())
    above = np.mean([b > g for b in bad for g in good])
    f1 = 2 * hits / (hits + alarms + len(bad))
    return Record(
        category="a",
        method=method,
        seed=seed,
        condition=condition,
        severity=severity,
        count=0,
        study_sha256="",
        pictures_sha256="",
        metrics={"image_auroc": float(above), "image_f1": f1},
        image_threshold=threshold,
        ids=tuple(map(str, range(len(kinds)))),
        kinds=kinds,
        scores=tuple(map(float, scores)),
    )


def made(loss: dict[str, float], seeds: Sequence[int] = (1, 2)) -> dict[Key, Record]:
    """Defects score about 1 higher than good parts; a shift takes `loss` of that from each method."""
    found = {}
    for method, lost in loss.items():
        for seed in seeds:
            rng = np.random.default_rng(seed)
            good, bad = rng.normal(0, 0.3, 60), rng.normal(1, 0.3, 60)
            for condition, less in (("clean", 0.0), ("shifted", lost)):
                one = record(condition, method, seed, (good + less / 2).tolist(), (bad - less / 2).tolist())
                found[one.key] = one
    return found


def test_a_loss_that_is_there_is_found_and_one_that_is_not_is_not() -> None:
    effects = compare_all(made({"steady": 0.0, "weak": 0.9}))
    (weak,) = effects.of("shifted", "image_auroc", "weak")
    assert weak.is_found
    assert not weak.is_better
    assert weak.mean < -0.2
    (steady,) = effects.of("shifted", "image_auroc", "steady")
    assert not steady.is_found
    assert steady.mean == 0
    assert steady.first is not None
    assert steady.first.p_value == 1


def test_the_interval_is_delongs_of_the_first_seed_and_the_mean_of_all() -> None:
    records = made({"weak": 0.9}, seeds=(1, 2, 3))
    (found,) = compare_all(records).of("shifted", "image_auroc")
    pairs = [
        [records[Key("a", "weak", s, c, v)] for c, v in (("shifted", 3), ("clean", 0))] for s in (1, 2, 3)
    ]
    assert found.first == delong(pairs[0][0].defective, pairs[0][0].raw, pairs[0][1].raw)
    apart = [(a.metrics["image_auroc"] or 0) - (b.metrics["image_auroc"] or 0) for a, b in pairs]
    assert found.mean == pytest.approx(np.mean(apart))
    assert found.spread == pytest.approx(np.std(apart, ddof=1))
    assert found.seeds == 3


def test_methods_are_contrasted_in_what_they_lose() -> None:
    (contrast,) = compare_all(made({"steady": 0.0, "weak": 0.9})).contrasts
    assert (contrast.first, contrast.second) == ("steady", "weak")
    assert contrast.is_found
    assert contrast.mean > 0.2
    (alike,) = compare_all(made({"one": 0.9, "two": 0.9})).contrasts
    assert not alike.is_found
    assert alike.mean == 0


def test_p_values_are_corrected_for_all_comparisons_of_one_question() -> None:
    effects = compare_all(made({"steady": 0.0, "weak": 0.9, "weaker": 1.2}))
    assert (effects.tests, effects.questions) == (3 * 2 + 3, 3)
    for metric in ("image_auroc", "image_f1"):
        pairs = [
            (o.first.p_value, o.corrected_p) for o in effects.of("shifted", metric) if o.first is not None
        ]
        least, corrected = min(pairs)
        assert corrected == pytest.approx(3 * least)
        assert all(corrected is not None and corrected >= p_value for p_value, corrected in pairs)


def test_f1_can_be_found_beyond_chance_among_many_comparisons() -> None:
    losses = {f"m{number}": 0.9 for number in range(40)}
    assert all(one.is_found for one in compare_all(made(losses, seeds=(1,))).of("shifted", "image_f1"))


def test_what_was_not_measured_is_not_compared(study: Study) -> None:
    key = Key("plate", "padim", 1, "shifted", 3)
    empty = study.records[key].model_copy(update={"metrics": {}, "error": "cannot"})
    effects = compare_all({**study.records, key: empty})
    assert not [one for one in effects.of("shifted", "image_auroc", "padim") if one.key.category == "plate"]
    assert [one for one in effects.of("shifted", "image_auroc", "padim") if one.key.category == "disc"]


def test_new_thresholds_alone_have_an_effect_of_exactly_nothing_on_auroc(study: Study) -> None:
    for one in compare_all(study.records).of("thresholds", "image_auroc"):
        assert one.mean == 0
        assert not one.is_found
