"""Build the web bundle into the wheel; an sdist carries it, so its users need no Node."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WebBundle(BuildHookInterface):  # type: ignore[type-arg]
    """Hatch hook: the page is part of the package."""

    def _index(self) -> Path:
        return Path(self.root) / "src/liqheat/serve/static/index.html"

    def _prebuilt(self) -> bool:
        return (Path(self.root) / "PKG-INFO").exists() and self._index().exists()

    def _tool(self) -> ModuleType:
        path = Path(self.root) / "tools/web_build.py"
        spec = importlib.util.spec_from_file_location("web_build", path)
        if spec is None or spec.loader is None:
            raise RuntimeError(f"{path} cannot be loaded")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def dependencies(self) -> list[str]:
        """Ask for a Node only when there is something to build and none on the machine."""
        if self._prebuilt():
            return []
        tool = self._tool()
        return [] if tool.system_npm() else [tool.NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page, unless the install is editable (``make web``) or of an sdist."""
        if version == "editable" or self._prebuilt():
            return
        self._tool().build(Path(self.root))
        if not self._index().is_file():
            raise RuntimeError("web bundle missing")
