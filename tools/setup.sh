#!/bin/sh
# Prepare .venv: find a Python, make the environment, install the pinned requirements.
# Called by the Makefile when requirements or pyproject.toml changed; safe to run again.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'liqheat: %s\n' "$*"; }
die() { printf 'liqheat: %s\n' "$*" >&2; exit 1; }

fits() { # an interpreter with a version that all requirements have wheels for
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        fits "$PYTHON" || die "PYTHON=$PYTHON is not a Python 3.11 to 3.14"
        echo "$PYTHON"
        return
    fi
    for name in python3 python3.13 python3.12 python3.11 python3.14 python; do
        if fits "$name"; then
            echo "$name"
            return
        fi
    done
    die "no Python 3.11 to 3.14 on PATH; install one (Debian: apt-get install python3 python3-venv)" \
        "or name it: make setup PYTHON=/path/to/python3"
}

if ! .venv/bin/python -m pip --version >/dev/null 2>&1 || ! fits .venv/bin/python; then
    python=$(find_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        die "$python cannot make environments; on Debian and Ubuntu: apt-get install python3-venv"
    say "making .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
fi

say "installing $(grep -c '==' requirements/dev.txt) pinned packages (about 300 MB the first time)"
.venv/bin/python -m pip --disable-pip-version-check --no-input install --quiet \
    --require-hashes -r requirements/dev.txt ||
    die "the packages could not be installed; is this machine online? Run make setup again to go on"
.venv/bin/python -m pip --disable-pip-version-check --no-input install --quiet \
    --no-deps --no-build-isolation --editable .
touch .venv/.installed
