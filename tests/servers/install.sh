#!/bin/sh
# Installs the servers that the integration tests talk to, at the versions named here.
#
# They go to $STANDPIPE_TEST_CACHE (default: target/test-servers). What is there already at the
# right version is left alone. Needs Go 1.26 and Python 3.9 with venv.
set -eu

versitygw=v1.8.0
moto=5.2.5

root=$(cd "$(dirname "$0")/../.." && pwd)
cache=${STANDPIPE_TEST_CACHE:-$root/target/test-servers}
mkdir -p "$cache/bin"
cache=$(cd "$cache" && pwd)

installed() { # name version
    [ "$(cat "$cache/$1.version" 2>/dev/null || true)" = "$2" ]
}

if ! installed versitygw "$versitygw" || [ ! -x "$cache/bin/versitygw" ]; then
    echo "installing versitygw $versitygw (some minutes)" >&2
    GOBIN="$cache/bin" go install "github.com/versity/versitygw/cmd/versitygw@$versitygw"
    echo "$versitygw" >"$cache/versitygw.version"
fi

if ! installed moto "$moto" || [ ! -x "$cache/venv/bin/moto_server" ]; then
    echo "installing moto $moto" >&2
    python3 -m venv "$cache/venv"
    "$cache/venv/bin/python" -m pip install --quiet --disable-pip-version-check "moto[server]==$moto"
    echo "$moto" >"$cache/moto.version"
fi
