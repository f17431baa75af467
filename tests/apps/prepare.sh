#!/bin/sh
# What the runtimes for apps are compared with: Python writes it into build/apps, once for all of them, and again where its
# sources changed. To be sourced in the checkout's root; sets EDGEFORMER_EXPECTED, the folder that expected.py wrote.
PYTHON=${PYTHON:-$PWD/.venv/bin/python}

# prepared NAME SCRIPT ARGUMENTS...: the script's folder build/apps/NAME is there and up to date.
prepared() {
  folder=$PWD/build/apps/$1
  script=tests/apps/$2
  shift 2
  if [ ! -e "$folder/complete" ] || [ -n "$(find "$script" runtime/edgeformer_runtime tests/conformance tests/runtime/data \
    -type f ! -path '*/__pycache__/*' -newer "$folder/complete")" ]; then
    "$PYTHON" "$script" "$folder" "$@" && touch "$folder/complete"
  fi
}

prepared expected expected.py
export EDGEFORMER_EXPECTED="$PWD/build/apps/expected"
