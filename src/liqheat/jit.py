"""The one place where numba is imported.

``fastmath`` and parallel reductions stay off for ever: results are compared bit for bit
between batch and live and between machines' golden files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile ``function`` with the project's fixed numba settings."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
