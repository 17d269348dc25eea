"""The tree as git sees it, and the documents as text."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_OURS = {".git", ".venv", "node_modules", "static", "__pycache__", "dist", "build"}


def tracked_files() -> list[Path]:
    """Files git tracks; all but the built ones where there is no git (an sdist)."""
    git = shutil.which("git")
    if git and (ROOT / ".git").exists():
        command = [git, "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "-z"]
        out = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        return [ROOT / name for name in out.split("\0") if name and (ROOT / name).is_file()]
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not NOT_OURS & set(path.relative_to(ROOT).parts)
        and not path.relative_to(ROOT).parts[0].startswith(".")
    ]  # fmt: skip


@pytest.fixture(scope="session")
def tracked():
    return tracked_files()


@pytest.fixture(scope="session")
def markdown():
    """{path: text} of the documents people read."""
    return {path: path.read_text() for path in tracked_files() if path.suffix == ".md"}


@pytest.fixture(scope="session")
def documents(markdown):
    return "\n".join(markdown.values())


@pytest.fixture(scope="session")
def root():
    return ROOT
