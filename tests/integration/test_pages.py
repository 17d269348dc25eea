"""The page's files: their types, whatever the machine thinks, and how long they are kept."""

import functools
import mimetypes

import pytest

from liqheat.serve import app
from liqheat.serve.pages import DAY, IMMUTABLE, Pages
from tests.integration.world import World, run

#: Path -> (content type, cache).
FILES = {
    "index.html": ("text/html", "no-cache"),
    "manifest.webmanifest": ("application/manifest+json", "no-cache"),
    "icon.svg": ("image/svg+xml", DAY), "icon-192.png": ("image/png", DAY),
    "touch-longer-name.png": ("image/png", DAY), "theme.js": ("text/javascript", "no-cache"),
    "assets/index-BzkbAkFS.js": ("text/javascript", IMMUTABLE),
    "assets/index-DUz8BwSm.css": ("text/css", IMMUTABLE),
    "assets/plain.js": ("text/javascript", "no-cache"),
    "what.ever": ("application/octet-stream", "no-cache"),
}  # fmt: skip


def test_types_and_caching_are_ours(tmp_path, monkeypatch) -> None:
    folder = tmp_path / "static"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(f"{name} <svg>{{}}".encode() * 30)
    # Some machines take .js for text/plain, and know no .webmanifest.
    monkeypatch.setattr(mimetypes, "guess_type", lambda *_: ("text/plain", None))
    monkeypatch.setattr(app, "Pages", functools.partial(Pages, folder))

    async def check(w: World) -> None:
        for name, (media, cache) in FILES.items():
            answer = await w.http.get(f"/{name}")
            assert answer.status_code == 200
            assert answer.headers["content-type"].split(";")[0] == media, name
            assert answer.headers["cache-control"] == cache, name
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.content == (folder / name).read_bytes()
            tag = {"if-none-match": answer.headers["etag"]}
            assert (await w.http.get(f"/{name}", headers=tag)).status_code == 304
        head = await w.http.head("/manifest.webmanifest")
        assert (head.status_code, head.content) == (200, b"")

    run(check, tmp_path / "data")


@pytest.mark.parametrize("path", ["/../pages.py", "/assets/", "/nothing.svg", "//icon.svg"])
def test_only_its_own_files_are_served(tmp_path, path) -> None:
    (tmp_path / "icon.svg").write_text("<svg/>")
    assert Pages(tmp_path).get(path) is None
