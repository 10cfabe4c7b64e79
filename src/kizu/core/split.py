"""The parts a data set is cut into. What was learned or chosen on one is never measured on the same one."""

from enum import StrEnum


class Split(StrEnum):
    """Fit on TRAIN; set thresholds on CALIBRATION (good) or VALIDATION (labelled); measure on TEST."""

    TRAIN = "train"
    CALIBRATION = "calibration"
    VALIDATION = "validation"
    TEST = "test"
