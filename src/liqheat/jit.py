"""The one place where numba is imported.

``fastmath`` and parallel reductions stay off for ever: results are compared bit for bit
between batch and live and between machines' golden files.

Compiled code is cached on disk. Numba looks only at the file a function is in, though a function
holds the code and the constants of all it calls; so the stamp of every cache entry is that of the
whole engine, and a change of one constant compiles everything anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def _stamp() -> tuple[float, int]:
    """Return the newest change and the total size of the engine's files."""
    folder = os.path.join(os.path.dirname(__file__), "engine")  # noqa: PTH118, PTH120
    files = [entry.stat() for entry in os.scandir(folder) if entry.name.endswith(".py")]
    return max(file.st_mtime for file in files), sum(file.st_size for file in files)


_STAMP = _stamp()


def kernel(function: F) -> F:
    """Compile ``function`` with the project's fixed numba settings."""
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    # The index file of numba's cache; of another numba, its own stamp stays.
    index = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if index is not None:
        index._source_stamp = _STAMP
    return cast(F, compiled)
