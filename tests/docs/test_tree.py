"""What must hold of the files themselves: budgets, versions, hosts, links, targets."""

import ast
import re
import tomllib

import liqheat

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 40
MAX_KERNEL_LINES = 60
MAX_SOURCE_LINES = 33_000

#: Written in pieces, so that this file does not name them either.
HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("yarnpkg", "com"),
        ("npmmirror", "com"), ("anaconda", "org"), ("jsdelivr", "net"), ("unpkg", "com"),
    )
]  # fmt: skip


def test_no_tracked_file_names_a_package_host(tracked, root):
    pattern = re.compile("|".join(map(re.escape, HOSTS)).encode())
    found = [
        f"{path.relative_to(root)}: {match.group().decode()}"
        for path in tracked
        if (match := pattern.search(path.read_bytes()))
    ]
    assert found == []


def test_requirements_are_hashed(root):
    for name in ("run", "dev"):
        text = (root / f"requirements/{name}.txt").read_text()
        pins = re.findall(r"^\S+==", text, re.M)
        assert len(pins) > 10
        assert len(re.findall(r"^\S+==.*\\\n    --hash=sha256:", text, re.M)) == len(pins)


def test_requirements_cover_what_the_package_asks_for(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())
    wanted = {
        "run": project["project"]["dependencies"],
        "dev": project["project"]["dependencies"] + project["dependency-groups"]["dev"],
    }
    for name, asked in wanted.items():
        text = (root / f"requirements/{name}.txt").read_text()
        pinned = set(re.findall(r"^([A-Za-z0-9_.-]+)==", text, re.M))
        names = {re.match(r"[A-Za-z0-9_.-]+", line).group() for line in asked}
        assert names <= pinned, f"run make lock: {names - pinned}"


def test_python_files_stay_within_the_budget(tracked, root):
    lines = {p: len(p.read_bytes().splitlines()) for p in tracked if p.suffix == ".py"}
    long = {str(p.relative_to(root)): n for p, n in lines.items() if n > MAX_FILE_LINES}
    assert long == {}
    source = sum(n for p, n in lines.items() if "tests" not in p.relative_to(root).parts)
    assert source <= MAX_SOURCE_LINES


def test_functions_stay_within_the_budget(tracked, root):
    long = []
    for path in tracked:
        if path.suffix != ".py" or "tests" in path.relative_to(root).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names = [ast.unparse(d).split(".")[-1] for d in node.decorator_list]
                allowed = MAX_KERNEL_LINES if "kernel" in names else MAX_FUNCTION_LINES
                if (lines := body_lines(node)) > allowed:
                    long.append(
                        f"{path.relative_to(root)}:{node.lineno} {node.name} {lines}"
                    )
    assert long == []


def body_lines(node):
    """Lines of a function after its signature and docstring."""
    body = node.body
    if ast.get_docstring(node) is not None:
        body = body[1:]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_architecture_is_short(root):
    assert len((root / "ARCHITECTURE.md").read_text().splitlines()) <= 150


def test_changelog_names_the_version(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert liqheat.__version__ == project["version"]
    released = re.findall(r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$",
                          (root / "CHANGELOG.md").read_text(), re.M)  # fmt: skip
    assert released[0] == project["version"]


def test_relative_links_lead_somewhere(markdown, root):
    broken = []
    for path, text in markdown.items():
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text):
            if not (path.parent / target).exists():
                broken.append(f"{path.relative_to(root)}: {target}")
    assert broken == []


def test_make_targets_and_documents_agree(markdown, root):
    targets = set(re.findall(r"^([a-z-]+):.*## ", (root / "Makefile").read_text(), re.M))
    named = set()
    for text in markdown.values():
        named |= set(re.findall(r"`make ([a-z-]+)", text))
        named |= set(re.findall(r"^make ([a-z-]+)", text, re.M))
    assert named <= targets, f"no such target: {named - targets}"
    guide = (root / "CONTRIBUTING.md").read_text()
    missing = {t for t in targets if not re.search(rf"`make {t}\b", guide)}
    assert missing == set(), "document them in CONTRIBUTING.md"


def test_notices_name_every_package_it_runs_on(root):
    pinned = re.findall(
        r"^([A-Za-z0-9_.-]+)==", (root / "requirements/run.txt").read_text(), re.M
    )
    notices = (root / "THIRD_PARTY_NOTICES.md").read_text()
    assert [name for name in pinned if not re.search(rf"\b{name}\b", notices)] == []


def test_no_merge_is_left_half_done(tracked, root):
    marks = re.compile(rb"^(<{7}|>{7}|\|{7}) ", re.M)
    text = {".py", ".md", ".ts", ".tsx", ".toml", ".txt", ".css", ".json", ""}
    files = [path for path in tracked if path.suffix in text]
    assert [str(p.relative_to(root)) for p in files if marks.search(p.read_bytes())] == []
