"""What the report says, section by section. Words that depend on no number stand here; findings come from tests."""

from collections.abc import Iterator

from kizu.core.provenance import package_versions
from kizu.data.shifts import COMPOSITIONS, SHIFTS, choose_shifts
from kizu.report.study.document import Block, Document, Figure, Heading, Paragraph, Points, Table
from kizu.report.study.figures import condition_bars, efficiency, picture_map, roc_families, severity_curves
from kizu.report.study.findings import patterns, tell_loss, tell_updates
from kizu.report.study.tables import (
    category_table,
    conditions_table,
    cost_table,
    data_table,
    effects_table,
    kinds_table,
    results_table,
    shared_failures,
)
from kizu.study.effects import LEVEL, Effects
from kizu.study.run import Study


def make_document(study: Study, effects: Effects) -> Document:
    """The report of a finished study."""
    severity = _shown(study)
    parts = (
        _context(study, effects),
        _data(study),
        _methods(study),
        _protocol(study),
        _results(study, severity),
        _recovery(study, effects, severity),
        _errors(study, severity),
        _limits(study),
        _appendix(study),
    )
    config = study.config
    subtitle = (
        f"{', '.join(config.methods)} on {', '.join(one.name for one in config.data)}; shift {config.shift},"
        f" severities {', '.join(map(str, config.severities))}; {len(study.records)} trials"
    )
    return Document(
        "What a changed line costs, and what wins it back", subtitle, tuple(b for part in parts for b in part)
    )


def _shown(study: Study) -> int:
    """The severity of the tables that show one: the middle one of the study."""
    return sorted(study.config.severities)[len(study.config.severities) // 2]


def _context(study: Study, effects: Effects) -> Iterator[Block]:
    yield Heading("Context and definitions")
    yield Paragraph(
        "A detector that learned from good pictures of one line meets pictures of the same parts after the line"
        " has changed: another mounting, lamp, lens or camera. The study measures what that costs, and what of it"
        " is won back by new thresholds, by refitting, by fitting on both, and by an update with a few pictures."
    )
    yield Points(
        (
            "Shift: a stated change of pictures (and of masks, where it moves something), drawn for each picture"
            " by seed and name, in five severities; severity 0 is the picture itself.",
            "Degradation: a metric on shifted less the same on clean pictures of the same parts. Recovery: a"
            " metric after an adaptation less the same without it, on the same shifted pictures.",
            f"Beyond chance: p below {LEVEL} after Holm's correction for all comparisons of one question: what one"
            " condition does to one metric, over categories, methods and severities, or which method loses more."
            f" The study asks {effects.questions} such questions in {effects.tests} tests; of those that chance"
            " alone answers one in twenty would find something. DeLong's test for image AUROC; for F1 all"
            " exchanges of the verdicts.",
            "AUROC, AUPRC and AU-PRO know no threshold; F1, recall and false alarms are at the threshold in force.",
        )
    )
    yield Heading("Findings", 2)
    yield Points(
        (
            *(tell_loss(effects, method) for method in study.config.methods),
            *(finding.told() for finding in patterns(effects)),
            *tell_updates(effects),
        )
    )


def _data(study: Study) -> Iterator[Block]:
    yield Heading("Data and split")
    yield Paragraph(
        "Of the good training images a fifth validates, and of the defects three tenths of each kind; the rest of"
        " the test split only measures. Good training pictures that prove to be of one part, and copies of a file,"
        " stay on one side. The split is drawn by the seed, saved, and read again; every condition of a seed meets"
        " the same parts, so all comparisons are paired. Validation defects are there so that thresholds can be"
        " set by F1, as in the published protocol; a line seldom has them."
    )
    yield data_table(study)
    notes = [f"{name}: {note}" for name, told in study.notes.items() for note in told]
    if notes:
        yield Points(tuple(notes))
    yield Heading("The shifts", 2)
    rows = []
    for role, name in (("the shift", study.config.shift), ("the other shift", study.config.other_shift)):
        for part in choose_shifts(name):
            shift = SHIFTS[part]
            values = ", ".join(f"{shift.strengths[s - 1]:g}" for s in study.config.severities)
            rows.append((part, role, values, shift.unit))
    severities = ", ".join(map(str, study.config.severities))
    yield Table(
        "shifts",
        f"What {study.config.shift} and {study.config.other_shift} consist of, and the strengths at severities"
        f" {severities}. Beyond the border the picture is mirrored, and its mask likewise.",
        ("component", "part of", "strength", "what that says"),
        tuple(rows),
    )


def _methods(study: Study) -> Iterator[Block]:
    yield Heading("Methods")
    config = study.config
    yield Paragraph(
        f"All methods look at the same frozen features (backbone {config.embedding.backbone}) of pictures squashed"
        f" to {config.image_size} x {config.image_size}. What is not named below has its default, which study.yaml"
        " and the project's guide state."
    )
    rows = tuple(
        (name, ", ".join(f"{key}: {value}" for key, value in settings.items()))
        for name, settings in config.methods.items()
    )
    yield Table(
        "methods", "Methods, and the settings that differ from their defaults.", ("method", "settings"), rows
    )
    yield cost_table(study)


def _protocol(study: Study) -> Iterator[Block]:
    yield Heading("Protocol")
    yield conditions_table(study)
    yield Paragraph(
        f"Seeds {', '.join(map(str, study.config.seeds))} decide split and fit; the shifted pictures are the same"
        " for all (their own seed). Means are over seeds; intervals and tests are of the first seed, over its test"
        " images, as if none depended on another. An update learns shifted pictures of training parts and keeps"
        " the rule of its thresholds, set anew on clean validation images."
    )
    yield Points(
        tuple(
            f"Check: {check.what}: "
            + (
                f"holds in all {check.trials} trials."
                if not check.failures
                else f"FAILED in {len(check.failures)}."
            )
            for check in study.checks
        )
    )


def _results(study: Study, severity: int) -> Iterator[Block]:
    yield Heading("Results")
    yield results_table(study, severity)
    yield category_table(study, severity)
    yield Figure(
        "severity",
        "Image AUROC against severity (0: clean), mean over seeds: nothing adapted, and refitted.",
        severity_curves(study),
    )
    yield Figure(
        "conditions",
        f"Image AUROC by condition at severity {severity}, first seed, with 95 % intervals over test images.",
        condition_bars(study, severity),
    )


def _recovery(study: Study, effects: Effects, severity: int) -> Iterator[Block]:
    yield Heading("Degradation and recovery")
    yield effects_table(effects, severity)
    contrasts = [one for one in effects.contrasts if one.severity == severity]
    if contrasts:
        yield Table(
            "contrasts",
            f"How much more of its image AUROC the first method keeps than the second, severity {severity}.",
            ("category", "methods", "mean", "p (Holm)"),
            tuple(
                (
                    one.category,
                    f"{one.first} - {one.second}",
                    f"{one.mean:+.3f}",
                    "-" if one.corrected_p is None else f"{one.corrected_p:.2g}",
                )
                for one in contrasts
            ),
        )
    yield Figure(
        "roc", "ROC of the first seed, clean and at each severity, nothing adapted.", roc_families(study)
    )
    picture = efficiency(study)
    if picture:
        yield Figure(
            "efficiency",
            "Time for one picture against mean image AUROC: clean (filled), and at the highest severity (open);"
            " the front joins those that no other beats in both time and the latter.",
            picture,
            wide=False,
        )


def _errors(study: Study, severity: int) -> Iterator[Block]:
    yield Heading("Where it fails")
    yield kinds_table(study, severity)
    yield shared_failures(study, severity)
    picture = picture_map(study)
    if picture:
        yield Figure(
            "map",
            "Test pictures of the first seed as the network sees them, clean and at severity"
            f" {max(study.config.severities)} (t-SNE of the mean over patches). Who lies beside whom means"
            " something, how far groups are apart does not.",
            picture,
        )


def _limits(study: Study) -> Iterator[Block]:
    yield Heading("Limitations, bias and generalisation")
    yield Points(
        (
            "The shifts are made, not met: a real change of a line may be none of them. What is concluded holds"
            " for these shifts at these strengths.",
            f"{len(study.config.data)} categories are no sample of all products: no interval here covers the choice"
            " of the category. Where a category has few test images, a difference that matters may stay within"
            " chance.",
            "Shifted pictures are of the same parts as the clean ones. An update and a refit therefore see the"
            " parts that the clean model saw; new parts of a changed line may win back less.",
            "Bias: thresholds are set on labelled validation defects of the kinds that are met later; where new"
            " kinds come, recall at the threshold is flattered, and AUROC is not.",
            "Kinship is looked for among good training pictures alone. Where a data set has other pictures of a part"
            " in its test split, clean results are flattered, and so is what a refit wins back; where defects of one"
            " part fall into validation and test, so are the thresholds.",
            "A flaw that a move would push out of the picture is moved otherwise, so flaws at the border are moved"
            " less.",
            "Ablations (coreset, layers, aggregation, patch size, backbone, input size) are not part of this study.",
        )
    )
    yield Heading("Future work", 2)
    yield Paragraph(
        "Pictures of a real line before and after a change; remedies that need no refit, such as normalising the"
        " light of the input; more categories, so that methods can be compared over categories as well."
    )


def _appendix(study: Study) -> Iterator[Block]:
    yield Heading("Appendix")
    pictures = {}
    for record in study.records.values():
        if record.seed == study.config.seeds[0] and record.condition == "clean":
            pictures[record.category] = record.pictures_sha256
    versions = ", ".join(f"{name} {version}" for name, version in package_versions().items())
    yield Points(
        (
            f"Study (SHA-256 of its settings): {study.config.sha256()}",
            *(f"Pictures and split of {name}, first seed: {digest}" for name, digest in pictures.items()),
            f"Versions: {versions}.",
            "Every number of this report is made of the files in trials/, each sealed by its hash; tables/ holds"
            f" them and all comparisons with every digit. Compositions that there are: {', '.join(COMPOSITIONS)}.",
        )
    )
