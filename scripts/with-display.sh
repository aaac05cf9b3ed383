#!/bin/sh
# Runs a command with a display: the one that is there, or a virtual one (Xvfb).
set -eu
if [ -n "${DISPLAY:-}" ] || [ -n "${WAYLAND_DISPLAY:-}" ] || ! command -v xvfb-run >/dev/null 2>&1; then
    exec "$@"
fi
exec xvfb-run -a -s "-screen 0 1600x1200x24" "$@"
