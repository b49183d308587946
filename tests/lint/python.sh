#!/bin/bash
# SPDX-License-Identifier: MIT
# A name that a script uses and nothing defines: the line may be one that only a failure reaches.
cd "$(dirname "$0")/../.."
command -v pyflakes3 >/dev/null || { echo "skip: no pyflakes3 (Debian: pyflakes3)"; exit 77; }
files=$(git ls-files | while read -r f; do [ -f "$f" ] && head -n 1 "$f" | grep -q '^#!.*python' && echo "$f"; done; git ls-files '*.py')
! echo "$files" | sort -u | xargs pyflakes3 2>&1 | grep -vE 'imported but unused|unable to detect undefined'
