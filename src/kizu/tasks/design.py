"""Choose on development categories, and freeze what was chosen."""

from kizu.core.errors import ConfigError
from kizu.core.files import write_stored
from kizu.core.lists import comma_separated
from kizu.core.locks import locked, locked_name
from kizu.core.registry import look_up
from kizu.core.work import Work
from kizu.pipeline.config import PipelineConfig
from kizu.protocol.design import Design, design, list_candidates, read_candidates, read_design
from kizu.protocol.dev import dev_set
from kizu.protocol.freeze import FrozenPipeline, Origin, freeze, write_frozen
from kizu.tasks.data import scan_all
from kizu.tasks.lab_options import DesignOptions, FreezeOptions
from kizu.tasks.options import CategoriesOptions, parse_seeds


def choose(options: DesignOptions, where: CategoriesOptions, work: Work) -> Design:
    """Try every candidate on the categories, and write what was chosen."""
    file = options.candidates_file
    known = list_candidates() if file is None else read_candidates(file)
    names = comma_separated(options.methods, where="--methods")
    candidates = {name: look_up(known, name, noun="method") for name in names}
    with locked_name(options.output):  # for hours: a second one into the same file is told at once
        found = design(
            scan_all(options.categories, where, work),
            candidates=candidates,
            seeds=parse_seeds(options.seeds),
            base=PipelineConfig.read(options.config_file) if options.config_file else PipelineConfig(),
            rate=options.rate,
            work=work,
        )
        with locked(options.output.parent):
            write_stored(options.output, found)
    return found


def freeze_choices(options: FreezeOptions, where: CategoriesOptions) -> FrozenPipeline:
    """Write the one hashed file, from a design or from choices made by hand. Raises `ConfigError`."""
    if (options.design_file is None) == (not options.config_files):
        raise ConfigError("give either --design or --config", hint="see kizu freeze --help")
    file = options.design_file
    found = _by_hand(options, where) if file is None else read_design(file)
    frozen = freeze(
        found.pipelines, found.origin, thresholds=found.thresholds, seeds=parse_seeds(options.seeds)
    )
    return write_frozen(frozen, options.output)


def _by_hand(options: FreezeOptions, where: CategoriesOptions) -> Design:
    if options.note is None:
        raise ConfigError("choices by hand need --note", hint="say in a sentence where they came from")
    configs = [PipelineConfig.read(path) for path in options.config_files or []]
    pipelines = {config.detector.kind: config for config in configs}
    if len(pipelines) < len(configs):
        raise ConfigError("two of the configs are of one method", hint="give one for each method")
    manifests = scan_all(options.dev, where, flag="--dev") if options.dev else []
    dev = tuple(map(dev_set, manifests))
    return Design(pipelines=pipelines, thresholds={}, origin=Origin(how=options.note, dev=dev))
