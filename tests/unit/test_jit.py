"""Compiled code on disk belongs to exactly one state of the sources."""

import os
import subprocess
import sys
from pathlib import Path

import liqheat

PACKAGE = Path(liqheat.__file__).parent
ASK = "from liqheat import jit; print(jit.numba.config.CACHE_DIR)"


def folder_of(source: Path, cache: Path) -> Path:
    environment = {**os.environ, "PYTHONPATH": str(source), "NUMBA_CACHE_DIR": str(cache)}
    run = subprocess.run(
        [sys.executable, "-c", ASK],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(run.stdout.strip())


def test_a_constant_changed_in_another_module_is_never_served_stale(tmp_path):
    source, cache = tmp_path / "src", tmp_path / "cache"
    (source / "liqheat").mkdir(parents=True)
    for name in ("__init__.py", "jit.py", "errors.py"):
        (source / "liqheat" / name).write_bytes((PACKAGE / name).read_bytes())
    (source / "liqheat" / "constants.py").write_text("WIDTH = 1\n")
    before = folder_of(source, cache)
    assert folder_of(source, cache) == before
    (source / "liqheat" / "constants.py").write_text("WIDTH = 2\n")
    assert folder_of(source, cache) != before


def test_old_versions_are_forgotten_and_the_own_one_stays(tmp_path):
    for i in range(20):
        old = tmp_path / "kernels" / f"old{i}"
        old.mkdir(parents=True)
        os.utime(old, (i, i))
    own = folder_of(PACKAGE.parent, tmp_path)
    left = list((tmp_path / "kernels").iterdir())
    assert own in left
    assert len(left) <= 8
