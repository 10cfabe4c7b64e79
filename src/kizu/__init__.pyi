# The public names and where they live: read by type checkers, and by __init__.py, which has no second list.
from kizu.api import evaluate as evaluate
from kizu.api import fit as fit
from kizu.bundles.manifest import Bundle as Bundle
from kizu.bundles.store import load as load
from kizu.bundles.store import save as save
from kizu.core.errors import KizuError as KizuError
from kizu.core.work import Work as Work
from kizu.decision.calibration import CalibrationConfig as CalibrationConfig
from kizu.decision.policy import PolicyConfig as PolicyConfig
from kizu.decision.regions import Region as Region
from kizu.decision.thresholds import Threshold as Threshold
from kizu.detectors.base import EmbeddingConfig as EmbeddingConfig
from kizu.detectors.ensemble import EnsembleConfig as EnsembleConfig
from kizu.detectors.mahalanobis import MahalanobisConfig as MahalanobisConfig
from kizu.detectors.padim import PadimConfig as PadimConfig
from kizu.detectors.patch_knn import PatchKnnConfig as PatchKnnConfig
from kizu.detectors.patchcore import PatchcoreConfig as PatchcoreConfig
from kizu.detectors.subspace import SubspaceConfig as SubspaceConfig
from kizu.imaging.codec import decode as decode
from kizu.imaging.placement import PlacementConfig as PlacementConfig
from kizu.inspection.found import Inspection as Inspection
from kizu.inspection.inspector import Inspector as Inspector
from kizu.inspection.shelf import Shelf as Shelf
from kizu.pipeline.config import PipelineConfig as PipelineConfig

__version__: str
