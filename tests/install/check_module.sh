#!/usr/bin/env bash
# The Lmod file, run by Lua with Lmod's functions replaced, in the place where it is installed and in a wrong one.
# usage: check_module.sh FILE FOLDER_BELOW_ROOT VERSION CHECK.lua
set -euo pipefail
lua=$(command -v lua5.4 || command -v lua) || { printf 'check_module: Skipped\nno lua5.4\n'; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/a tree/$2"
cp "$1" "$work/a tree/$2/$3.lua"
"$lua" "$4" "$work/a tree/$2/$3.lua" "$work/a tree"
cp "$1" "$work/$3.lua"
"$lua" "$4" "$work/$3.lua" nowhere
echo 'check_module: all is well'
