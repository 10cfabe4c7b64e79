"""Which pipeline to take, and a config for it."""

from kizu.core.files import write_text
from kizu.core.locks import locked
from kizu.core.work import Work
from kizu.lab.budget import Budget
from kizu.lab.recommend import Recommendation, recommend
from kizu.lab.train import RunConfig
from kizu.tasks.data import data_config, scan_told
from kizu.tasks.lab_options import BudgetOptions
from kizu.tasks.options import DataOptions


def recommend_for(data: DataOptions, options: BudgetOptions, work: Work) -> Recommendation:
    """Try the candidates on the good images; write the choice where a file was named and something fits."""
    config = data_config(data)
    budget = Budget(
        latency_ms=options.latency_ms, memory_mb=options.memory_mb, fit_seconds=options.fit_seconds
    )
    found = recommend(scan_told(config, work), budget, work=work)
    if found.chosen is not None and options.output is not None:
        with locked(options.output.parent):
            write_text(options.output, RunConfig(**dict(found.chosen.config), data=config).to_yaml())
    return found
