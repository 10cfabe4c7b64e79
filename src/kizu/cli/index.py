"""`kizu index`"""

from pathlib import Path
from typing import Annotated

from kizu.cli.options import Shown, start_work
from kizu.cli.printing import say
from kizu.tasks.options import Flag, WorkOptions


def index(
    run_dirs: Annotated[list[Path], Flag("Run folders that `kizu train` printed.", is_argument=True)],
    using: WorkOptions,
    shown: Shown,
) -> None:
    """Keep with a run what its product looks like, so that a shelf of models knows whose picture it is given. New runs
    have it already. Prints the files."""
    from kizu.tasks.index import index

    with start_work(shown, using) as work:
        for run_dir in run_dirs:
            done = index(run_dir, work)
            for name, product in done.references.products.items():
                say(
                    f"{name}: {product.count} references; at most {product.false_rejection_rate:.2g} of good pictures"
                    f" lie farther off than {product.limit - product.margin:.3g}, and what lies up to"
                    f" {product.limit:.3g} off is of this product",
                    err=True,
                )
            say(str(done.path))
