"""Every number of the suite has a question that it answers and a meaning in words."""

from kizu.metrics.intervals import Interval
from kizu.metrics.suite import METRICS
from kizu.report.meanings import QUESTIONS, missing_lines, number_blocks


def test_each_metric_answers_one_question() -> None:
    asked = [key for meanings in QUESTIONS.values() for key in meanings]
    assert sorted(asked) == sorted(row.key for row in METRICS)
    assert all(question.endswith("?") for question in QUESTIONS)
    assert all(meaning.endswith(".") for meanings in QUESTIONS.values() for meaning in meanings.values())


def test_a_question_without_an_answer_is_not_asked() -> None:
    (block,) = number_blocks(
        {"image_auroc": 0.5, "pixel_auroc": None}, {"image_auroc": Interval(0.4, 0.6, 0.95, "")}
    )
    (number,) = block.numbers
    assert (number.name, number.value, number.interval) == ("Image AUROC", "0.5000", "0.400 to 0.600")
    assert "0.5 is guessing" in number.meaning


def test_reasons_that_are_the_same_are_said_once() -> None:
    told = missing_lines({"pixel_auroc": "no masks", "aupimo": "no masks", "image_f1": "no good images"})
    assert told == [
        "Not measured (no masks): pixel AUROC, AUPIMO.",
        "Not measured (no good images): F1 at the image threshold.",
    ]
