#!/bin/sh
# What the runtimes for apps are compared with: Python writes it into build/apps, once for all of them, and again where its
# sources changed. To be sourced in the checkout's root; EDGEFORMER_FULL=1 takes the full sizes. Sets the folders
#   EDGEFORMER_EXPECTED   of expected.py
#   EDGEFORMER_FUZZ       of fuzz.py: 2,000 files of each kind, or 100,000
#   EDGEFORMER_REAL_ROWS  of real_rows.py: 100 texts, or 1,000
PYTHON=${PYTHON:-$PWD/.venv/bin/python}

# prepared NAME SCRIPT ARGUMENTS...: the script's folder build/apps/NAME is there and up to date.
prepared() {
  folder=$PWD/build/apps/$1
  script=tests/apps/$2
  shift 2
  if [ ! -e "$folder/complete" ] || [ -n "$(find tests/apps/*.py runtime/edgeformer_runtime tests/conformance \
    tests/tokenizers/vectors tests/runtime/data -type f ! -path '*/__pycache__/*' -newer "$folder/complete")" ]; then
    "$PYTHON" "$script" "$folder" "$@" && touch "$folder/complete"
  fi
}

FILES=2000 ROWS=100
[ -z "${EDGEFORMER_FULL:-}" ] || FILES=100000 ROWS=1000
prepared expected expected.py
prepared "fuzz-$FILES" fuzz.py --count "$FILES"
prepared "real-rows-$ROWS" real_rows.py --rows "$ROWS"
export EDGEFORMER_EXPECTED="$PWD/build/apps/expected" EDGEFORMER_FUZZ="$PWD/build/apps/fuzz-$FILES" \
  EDGEFORMER_REAL_ROWS="$PWD/build/apps/real-rows-$ROWS"
