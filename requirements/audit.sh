#!/bin/sh
# Look every locked dependency up among known vulnerabilities. Exit code 0: none, or nobody could be asked; 1: some.
set -u
cd "$(dirname "$0")/.."
told=$(mktemp)
trap 'rm -f "$told"' EXIT
if .venv/bin/pip-audit --progress-spinner off --timeout 20 --disable-pip --require-hashes -r requirements/image.txt >"$told" 2>&1; then
    echo "No known vulnerability in requirements/image.txt."
elif grep -qiE '^(Found|Name +Version +ID)' "$told"; then
    cat "$told"
    exit 1
else
    echo "NOT AUDITED: the advisory service could not be reached. $(tail -n 1 "$told" | cut -c1-200)"
fi
