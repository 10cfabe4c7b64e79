"""Who may use the cores.

BLAS starts its own threads for every product that it finds large enough. Where many small products follow each other,
or where our own threads already use every core, its threads only wait for each other: on a busy machine one
factorisation of 152 x 152 then takes a thousand times its time.
"""

from contextlib import AbstractContextManager
from functools import cache
from typing import Any


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[Any]:
    """While it is entered, BLAS computes in the calling thread. Holds for the whole process; costs microseconds.

    Where blocks of several threads overlap, the first one's counts (threadpoolctl 3.8): a later one may find the limit
    lifted before its end, which costs speed and nothing else.
    """
    limited: AbstractContextManager[Any] = _controller().limit(limits=1, user_api="blas")
    return limited
