"""The one place where numba is imported.

``fastmath`` and parallel reductions stay off for ever: results are compared bit for bit
between batch and live and between machines' golden files.

Compiled code is kept on disk, in a folder named after a hash of the whole package. numba's own
rule, to compile again when a function's own file has changed, is not enough: a kernel holds
copies of the constants and the functions of OTHER modules, and would go on with the old ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import platformdirs

F = TypeVar("F", bound=Callable[..., Any])

#: Compiled code of other versions is kept for so many versions: two checkouts may take turns.
KEPT_VERSIONS = 8


def _cache_folder() -> Path:
    """Return the folder of this version's compiled code; forget the oldest others."""
    package = Path(__file__).parent
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(package.rglob("*.py")):
        digest.update(source.read_bytes())
    given = os.environ.get("NUMBA_CACHE_DIR")
    root = (
        Path(given or platformdirs.user_cache_dir("liqheat", appauthor=False)) / "kernels"
    )
    folder = root / digest.hexdigest()[:16]
    with contextlib.suppress(OSError):  # a folder which cannot be written costs time only
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        by_age = sorted(root.iterdir(), key=lambda each: each.stat().st_mtime)
        for old in by_age[:-KEPT_VERSIONS]:
            shutil.rmtree(old, ignore_errors=True)
    return folder


setattr(numba.config, "CACHE_DIR", str(_cache_folder()))  # noqa: B010 -- made at run time


#: No C callbacks: nobody asks for one, and each costs compile time.
_SETTINGS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "no_cfunc_wrapper": True,
}
_INNER = {**_SETTINGS, "no_cpython_wrapper": True}


def kernel(function: F) -> F:
    """Compile ``function`` with the project's fixed numba settings."""
    return cast(F, numba.njit(**_SETTINGS)(function))


def part(function: F) -> F:
    """Compile a function which only other kernels call: a quarter faster than ``kernel``.

    What makes it callable from Python is left out; a first start waits for the compiler.
    """
    return cast(F, numba.njit(**_INNER)(function))
