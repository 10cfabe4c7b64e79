"""A study of domain shift, from its file to its tables."""

from kizu.core.work import Work
from kizu.report.study.written import WrittenReport, write_report
from kizu.study.config import StudyConfig
from kizu.study.run import Study, measure_study
from kizu.tasks.study_options import StudyOptions, StudyReportOptions


def study(options: StudyOptions, work: Work) -> Study:
    """Measure what is not there yet, check it, and write the tables.

    Raises as `measure_study` and `StudyConfig.read`.
    """
    config = StudyConfig.read(options.study, options.data_root)
    return measure_study(config.quick() if options.quick else config, options.output, work)


def report(options: StudyReportOptions) -> WrittenReport:
    """The report of a finished study. Raises as `write_report`."""
    return write_report(options.folder)
