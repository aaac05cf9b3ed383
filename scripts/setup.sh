#!/bin/sh
# Makes .venv with what `make demo` or `make test` needs; does nothing when that is already there.
# Usage: setup.sh demo|test
set -eu
cd "$(dirname "$0")/.."
goal=$1
case $goal in
    demo) extras=all ;;
    test) extras=all,dev ;;
    *) echo "usage: setup.sh demo|test" >&2; exit 2 ;;
esac

say() { printf '%s\n' "setup: $*"; }
stop() { printf '%s\n' "setup: $*" >&2; exit 2; }

# --- system libraries: Debian and Ubuntu only, and only what is missing ------------------
apt_updated=
apt_install() {
    command -v apt-get >/dev/null 2>&1 || return 1
    if [ "$(id -u)" = 0 ]; then sudo=; elif sudo -n true 2>/dev/null; then sudo=sudo; else return 1; fi
    if [ -z "$apt_updated" ]; then $sudo apt-get update -qq >/dev/null && apt_updated=1; fi
    say "installing $*"
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

system_packages() {
    command -v dpkg-query >/dev/null 2>&1 || return 0
    # What Qt 6 and OpenGL load at run time; a desktop has them, a headless machine does not.
    wanted="libegl1 libgl1 libopengl0 libdbus-1-3 libfontconfig1 libfreetype6 libglib2.0-0 \
libxkbcommon0 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 \
libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0 libxcb-xkb1"
    if [ "$goal" = test ]; then wanted="$wanted xvfb xauth"; fi
    missing=
    for package in $wanted; do
        # Ubuntu 24.04 renamed some packages with a t64 suffix.
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            dpkg-query -W -f '${Status}' "${package}t64" 2>/dev/null | grep -q 'ok installed' ||
            missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    # shellcheck disable=SC2086
    apt_install $missing || say "could not install$missing; the viewer may not start without them"
}

# --- Python -------------------------------------------------------------------------------
find_python() {
    for name in ${PYTHON:-} python3.11 python3.12 python3.13 python3 python; do
        if command -v "$name" >/dev/null 2>&1 &&
            "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            echo "$name"
            return 0
        fi
    done
    return 1
}

make_venv() {
    [ -x .venv/bin/python ] && .venv/bin/python -c 'import pip' 2>/dev/null && return 0
    python=$(find_python) || stop "Python 3.11, 3.12 or 3.13 is needed; install one, or name it: make $goal PYTHON=/path/to/python"
    say "making .venv with $("$python" --version)"
    rm -rf .venv
    if ! "$python" -m venv .venv >/dev/null 2>&1; then
        # Debian keeps venv in a package of its own.
        apt_install "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" ||
            stop "this Python cannot make a virtual environment; install python3-venv"
        rm -rf .venv
        "$python" -m venv .venv
    fi
}

install_torch() {
    if .venv/bin/python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)'; then return 0; fi
    if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi >/dev/null 2>&1; then
        say "an NVIDIA GPU is here: installing torch for CUDA"
        .venv/bin/pip install -q torch
        return 0
    fi
    # PyTorch's own index has CPU builds of a tenth of the size; where it cannot be
    # reached, whatever index pip is set up with serves.
    index=https://download.pytorch.org/whl/cpu
    if .venv/bin/python -c "import urllib.request as u; u.urlopen('$index/torch/', timeout=5)" 2>/dev/null; then
        .venv/bin/pip install -q -c constraints/cpu.txt torch --index-url "$index"
    else
        .venv/bin/pip install -q -c constraints/cpu.txt torch
    fi
}

stamp=.venv/.ready-$goal
key=$(cat pyproject.toml constraints/cpu.txt scripts/setup.sh | cksum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$key" ]; then exit 0; fi

system_packages
make_venv
say "installing the package and what it needs (minutes the first time)"
.venv/bin/python -m pip install -q --upgrade pip
install_torch
# Keeps the torch that is there, whichever build it is.
.venv/bin/python -c 'from importlib.metadata import version; print("torch==" + version("torch"))' > .venv/torch.txt
if .venv/bin/python -c 'import torch, sys; sys.exit(not torch.cuda.is_available())'; then extras=$extras,gpu; fi
.venv/bin/pip install -q -c .venv/torch.txt -e ".[$extras]"
printf '%s' "$key" > "$stamp"
say "ready"
