#!/bin/sh
# How fast the Kotlin core is, once run.sh has compiled it: bench.sh BUNDLE [TOKENIZERS], a bundle of a real model of
# texts, and the folder that tests/tokenizers/make_large.py wrote (default build/tokenizers). Prints one line of JSON.
set -eu
BUNDLE=$(realpath "$1")
cd "$(dirname "$0")/../../.."
. tests/apps/kotlin/environment.sh
run_java edgeformer.runtime.test.BenchKt "${2:-$PWD/build/tokenizers}" "$BUNDLE"
