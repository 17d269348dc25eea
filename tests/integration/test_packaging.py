"""The wheel and the sdist hold what they must, and an sdist installs without Node or network."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STATIC = Path("src/liqheat/serve/static")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (ROOT / STATIC / "index.html").exists(),
        reason="the page is not built: make web",
    ),
]


def run(*command, cwd=None):
    """Run with nothing on PATH, so that no Node can be found."""
    result = subprocess.run(
        command, cwd=cwd, env={"PATH": ""}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Build both from a copy with the page in it, as an sdist has it."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("src", "web", "tools"):
        leave = shutil.ignore_patterns("node_modules", "__pycache__")
        shutil.copytree(ROOT / name, tree / name, ignore=leave)
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE",
                 "THIRD_PARTY_NOTICES.md", ".gitignore"):  # fmt: skip
        shutil.copy(ROOT / name, tree / name)
    (tree / "PKG-INFO").write_text("Metadata-Version: 2.4\nName: liqheat\nVersion: 0\n")
    run(sys.executable, "-m", "hatchling", "build", cwd=tree)
    return tree / "dist"


def test_wheel_holds_page_types_and_licences(dist):
    (wheel,) = dist.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    info = wheel.name.split("-py3")[0] + ".dist-info"
    for wanted in (
        "liqheat/py.typed",
        "liqheat/serve/static/index.html",
        f"{info}/licenses/LICENSE",
        f"{info}/licenses/THIRD_PARTY_NOTICES.md",
    ):
        assert wanted in names
    assert any(name.endswith(".js") for name in names)
    assert not [n for n in names if n.startswith(("tests", "web")) or "__pycache__" in n]


def test_sdist_installs_without_node_and_runs(dist, tmp_path):
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        assert not [name for name in archive.getnames() if "node_modules" in name]
    run(
        sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
        "--no-build-isolation", "--target", str(tmp_path), str(sdist),
    )  # fmt: skip
    assert (tmp_path / "liqheat/serve/static/index.html").exists()
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); "
        "import liqheat; print(liqheat.__file__)"
    )
    assert str(tmp_path) in run(sys.executable, "-c", code)
