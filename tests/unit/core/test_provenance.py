"""What a run says of the machine and of itself."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kizu.core.provenance import peak_memory

MEGABYTE = 1 << 20


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says it in /proc")
def test_the_peak_of_a_process_is_not_that_of_its_parent() -> None:
    held = np.ones(600 * MEGABYTE // 8)
    program = "from kizu.core.provenance import peak_memory; print(peak_memory())"
    told = int(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout)
    assert peak_memory() > held.nbytes > 4 * told > 40 * MEGABYTE
