#!/bin/sh
# Bring .venv up to a lock: `sh requirements/install.sh run|dev`. Does nothing when it is so already.
# The user's own settings of pip and uv say where packages come from; nothing here does.
set -eu
cd "$(dirname "$0")/.."
lock=requirements/$1.txt
stamp=.venv/.installed
want="$1 $(cat "$lock" pyproject.toml | cksum)"

say() { printf '%s\n' "$*" >&2; }
recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
usable() { [ -x .venv/bin/python ] && recent .venv/bin/python && { [ ! -f $stamp ] || grep -qxF "in $PWD" $stamp; }; }

find_python() {
    for python in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if recent "$python"; then
            command -v "$python"
            return
        fi
    done
}

create() {
    rm -rf .venv
    python=$(find_python)
    if command -v uv >/dev/null; then
        uv venv -q --python "${python:->=3.11}" .venv && return
    fi
    if [ -z "$python" ]; then
        say "Confide needs Python 3.11 or newer, or uv. Where there is one, name it: make PYTHON=/path/to/python3 …"
        exit 1
    fi
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        say "$python cannot make environments. On Debian and Ubuntu: apt-get install python3-venv. Or install uv."
        exit 1
    fi
    "$python" -m venv .venv
}

# uv takes seconds where pip takes a minute; it is one hashed wheel away.
find_uv() {
    if command -v uv; then return; fi
    if [ ! -x .venv/bin/uv ]; then pip -r requirements/bootstrap.txt || return 1; fi
    echo "$PWD/.venv/bin/uv"
}

pip() {
    .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null || return 1
    .venv/bin/python -m pip install -q --disable-pip-version-check "$@" >&2
}

install_with_uv() {
    uv=$(find_uv) || return 1
    "$uv" pip install -q --python .venv/bin/python --require-hashes -r "$lock" || return 1
    "$uv" pip install -q --python .venv/bin/python --offline --no-deps --no-build-isolation -e .
}

install_with_pip() {
    say "uv could not do it, pip takes its place (about a minute)"
    pip --require-hashes -r "$lock"
    pip --no-index --no-deps --no-build-isolation -e .
}

if usable && [ -f $stamp ] && grep -qxF "$want" $stamp; then exit 0; fi
usable || create
say "Installing $lock into .venv …"
rm -f $stamp
install_with_uv || install_with_pip
{
    echo "in $PWD"
    echo "$want"
    # The development lock holds everything that the other one does.
    if [ "$1" = dev ]; then echo "run $(cat requirements/run.txt pyproject.toml | cksum)"; fi
} >$stamp
