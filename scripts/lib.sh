# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# What the scripts share; they source it.  Sets: top, the checkout; build, where
# things are built in it; cache, where what came from Debian is kept.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # these are for the scripts that source this
{
build=$top/build
cache=${XDG_CACHE_HOME:-$HOME/.cache}/vmademo
}

say() { printf '%s\n' "-- $*" >&2; }
die() { printf '%s\n' "${0##*/}: $*" >&2; exit 1; }
