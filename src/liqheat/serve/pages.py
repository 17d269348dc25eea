"""The page: the built bundle out of memory, or a word on how to build it; and the API's docs.

The bundle is read once. Assets with a hash in their name never change and are cached for good,
icons for a day; everything else is asked for again each time. A name is looked up, never joined
to a path, so there is nothing to climb out of.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from liqheat.serve.http import Body, make_body

STATIC = Path(__file__).parent / "static"
IMMUTABLE = "public, max-age=31536000, immutable"
#: Icons may be a day old.
DAY = "public, max-age=86400"
_HASHED = re.compile(r"^/assets/.*[-.][A-Za-z0-9_-]{8,}\.[a-z0-9]+$")
#: Said here, because what a machine takes a suffix for is its own affair.
_TYPES = {
    ".css": "text/css", ".html": "text/html", ".ico": "image/x-icon", ".js": "text/javascript",
    ".json": "application/json", ".png": "image/png", ".svg": "image/svg+xml",
    ".txt": "text/plain", ".webmanifest": "application/manifest+json", ".woff2": "font/woff2",
}  # fmt: skip
_HTML = "text/html"

_SHELL = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;
background:#111418;color:#dde3ea}}a{{color:#7fb4ff}}code{{background:#1d232b;padding:.1em .35em}}
table{{border-collapse:collapse;width:100%}}td,th{{text-align:left;padding:.2em .8em .2em 0;
vertical-align:top;border-bottom:1px solid #2a323c}}</style>
<body><main>{body}</main></body></html>"""

_NO_PAGE = """<h1>liqheat is running</h1>
<p>The page has not been built in this copy. Run <code>make web</code> in the project's folder
and start liqheat again.</p>
<p>The data is here all the same: <a href="/api/v1/instruments">instruments</a>,
<a href="/api/v1/health">health</a>, <a href="/api/v1/docs">how to ask for it</a>.</p>"""


class Pages:
    """What is served outside the API, by path."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._bodies: dict[str, tuple[Body, str]] = {}
        for file in sorted(folder.rglob("*")) if folder.is_dir() else []:
            if file.is_file():
                path = "/" + file.relative_to(folder).as_posix()
                media = _TYPES.get(file.suffix, "application/octet-stream")
                icon = media.startswith("image/") and file.parent == folder
                cache = DAY if icon else "no-cache"
                if _HASHED.search(path):
                    cache = IMMUTABLE
                self._bodies[path] = (make_body(file.read_bytes(), media), cache)
        self.built = "/index.html" in self._bodies
        if not self.built:
            page = _SHELL.format(title="liqheat", body=_NO_PAGE).encode()
            self._bodies["/index.html"] = (make_body(page, _HTML), "no-cache")
        self._bodies["/"] = self._bodies["/index.html"]

    def get(self, path: str) -> tuple[Body, str] | None:
        """Return the body and Cache-Control of a path; None if there is none."""
        return self._bodies.get(path)


def docs_page(document: dict[str, Any]) -> Body:
    """Return the API's documentation, made of its OpenAPI document; it needs no script."""
    parts = [
        f"<h1>{html.escape(document['info']['title'])}</h1>",
        f"<p>{html.escape(document['info'].get('description', ''))}</p>",
        '<p>As a document for programs: <a href="/api/v1/openapi.json">openapi.json</a></p>',
    ]
    for path, methods in sorted(document["paths"].items()):
        operation = methods.get("get")
        if operation is None:
            continue
        parts.append(f"<h2><code>GET {html.escape(path)}</code></h2>")
        parts.append(f"<p>{html.escape(operation.get('description', ''))}</p>")
        rows = "".join(_parameter_row(p) for p in operation.get("parameters", []))
        if rows:
            parts.append(
                f"<table><tr><th>parameter<th>value<th>default<th>meaning{rows}</table>"
            )
    page = _SHELL.format(title="liqheat API", body="\n".join(parts))
    return make_body(page.encode(), _HTML)


def _parameter_row(parameter: dict[str, Any]) -> str:
    schema = parameter.get("schema", {})
    kind = ", ".join(map(str, schema.get("enum", []))) or str(schema.get("type", ""))
    bounds = (schema.get("minimum"), schema.get("maximum"))
    if bounds != (None, None):
        kind += f" {bounds[0]} to {bounds[1]}"
    default = "required" if parameter.get("required") else schema.get("default", "")
    cells = (parameter["name"], kind, default, parameter.get("description", ""))
    return "<tr>" + "".join(f"<td>{html.escape(str(cell))}" for cell in cells)
