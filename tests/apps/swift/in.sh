#!/bin/sh
# in.sh COMMAND…: runs a command, in the folder where it is called, on the Debian 13 of setup.sh. It sees /tmp, this
# checkout, and the folders that $EDGEFORMER_FOLDERS names (':' between them), each under its own path.
set -eu
export ROOT="$(dirname "$(readlink -f "$0")")"
CHECKOUT=$(readlink -f "$ROOT/../../..")
ROOT=$(readlink -f "$CHECKOUT/build/swift")/root
export FOLDERS="/dev:/proc:/tmp:$CHECKOUT${EDGEFORMER_FOLDERS:+:$EDGEFORMER_FOLDERS}"
# A mount namespace of its own, so that the mounts end with the command; without root, by a user namespace.
[ "$(id -u)" = 0 ] && AS= || AS=--map-root-user
# shellcheck disable=SC2016,SC2086  # the script inside expands its variables itself; AS is one option or none
exec unshare $AS --mount sh -euc '
  IFS=:
  for FOLDER in $FOLDERS; do
    mkdir -p "$ROOT$FOLDER"
    mount --rbind "$FOLDER" "$ROOT$FOLDER"
  done
  unset FOLDERS IFS
  exec chroot "$ROOT" /usr/bin/env HOME=/tmp LANG=C.UTF-8 PATH=/usr/libexec/swift/bin:/usr/bin:/bin \
    sh -c "cd \"\$0\" && exec \"\$@\"" "$PWD" "$@"' sh "$@"
