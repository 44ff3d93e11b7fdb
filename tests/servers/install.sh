#!/bin/sh
# Installs the servers that the integration tests talk to, and the reader of ORC files that they
# are held against, at the versions named here.
#
# They go to $STANDPIPE_TEST_CACHE (default: target/test-servers). What is there already at the
# right version is left alone. Needs Go 1.26, Python 3.9 with venv, Node 20 with npm, and Java 11
# with its compiler and Maven, which are installed by apt where they are missing.
set -eu

versitygw=v1.8.0
moto=5.2.5
dynalite=4.0.0
orc_tools=1.9.5
# The last line that runs on Java 17, and on 11.
opensearch=2.19.6
# The last line whose broker runs on Java 11.
kafka=3.9.1
kinesis_local=0.6.2

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

# A collector of our own making: its versions stand in its go.mod, checked by its go.sum.
collector=$(cat "$root"/tests/servers/collector/* | sha256sum | cut -d' ' -f1)
if ! installed collector "$collector" || [ ! -x "$cache/bin/collector" ]; then
    echo "installing the OpenTelemetry collector (some minutes)" >&2
    (cd "$root/tests/servers/collector" &&
        go build -mod=readonly -buildvcs=false -trimpath -ldflags "-s -w" -o "$cache/bin/collector" .)
    echo "$collector" >"$cache/collector.version"
fi

if ! installed moto "$moto" || [ ! -x "$cache/venv/bin/moto_server" ]; then
    echo "installing moto $moto" >&2
    python3 -m venv "$cache/venv"
    "$cache/venv/bin/python" -m pip install --quiet --disable-pip-version-check "moto[server]==$moto"
    echo "$moto" >"$cache/moto.version"
fi

# DynamoDB whose conditional writes hold: of several who expect the same value moto lets more than
# one through. Started as `bin/dynalite --port PORT`, it keeps everything in memory.
if ! installed dynalite "$dynalite" || [ ! -x "$cache/bin/dynalite" ]; then
    echo "installing dynalite $dynalite" >&2
    npm install --silent --no-audit --no-fund --ignore-scripts \
        --prefix "$cache/dynalite" "dynalite@$dynalite"
    ln -sf ../dynalite/node_modules/.bin/dynalite "$cache/bin/dynalite"
    echo "$dynalite" >"$cache/dynalite.version"
fi

# Without scripts: the package is one program of its own, and nothing is built.
if ! installed kinesis-local "$kinesis_local" ||
    [ ! -f "$cache/node/node_modules/kinesis-local/main.js" ]; then
    echo "installing kinesis-local $kinesis_local" >&2
    mkdir -p "$cache/node"
    npm install --prefix "$cache/node" --silent --ignore-scripts --no-audit --no-fund \
        "kinesis-local@$kinesis_local"
    echo "$kinesis_local" >"$cache/kinesis-local.version"
fi

# A runtime is needed whenever the tests run, Maven and the compiler only to install.
if ! command -v java >/dev/null; then
    apt-get update -qq && apt-get install -y -qq default-jre-headless
fi
need_maven() {
    if ! command -v mvn >/dev/null; then
        apt-get update -qq && apt-get install -y -qq maven
    fi
}
if ! installed orc-tools "$orc_tools" || [ ! -f "$cache/java/orc-tools-$orc_tools-uber.jar" ]; then
    echo "installing orc-tools $orc_tools" >&2
    need_maven
    mvn -B -q org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
        "-Dartifact=org.apache.orc:orc-tools:$orc_tools:jar:uber" "-DoutputDirectory=$cache/java"
    echo "$orc_tools" >"$cache/orc-tools.version"
fi

# A node of OpenSearch is a Java program of a few lines around it, compiled here.
node=$root/tests/servers/opensearch
made="$opensearch $(cat "$node/SearchNode.java" "$node/pom.xml" | cksum)"
if ! installed opensearch "$made" || [ ! -f "$cache/opensearch/SearchNode.class" ]; then
    echo "installing opensearch $opensearch" >&2
    need_maven
    if ! command -v javac >/dev/null; then
        apt-get update -qq && apt-get install -y -qq default-jdk-headless
    fi
    rm -rf "$cache/opensearch"
    mkdir -p "$cache/opensearch"
    mvn -B -q -f "$node/pom.xml" "-Dopensearch=$opensearch" \
        org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
        -DincludeScope=runtime "-DoutputDirectory=$cache/opensearch"
    javac --release 11 -cp "$cache/opensearch/*" -d "$cache/opensearch" "$node/SearchNode.java"
    echo "$made" >"$cache/opensearch.version"
fi

# A broker of Apache Kafka; tests/e2e/kafka.py starts it.
made="$kafka $(cksum <"$root/tests/servers/kafka/pom.xml")"
if ! installed kafka "$made" || [ ! -f "$cache/kafka/kafka_2.13-$kafka.jar" ]; then
    echo "installing kafka $kafka" >&2
    need_maven
    rm -rf "$cache/kafka"
    mkdir -p "$cache/kafka"
    mvn -B -q -f "$root/tests/servers/kafka/pom.xml" "-Dkafka=$kafka" \
        org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
        -DincludeScope=runtime "-DoutputDirectory=$cache/kafka"
    echo "$made" >"$cache/kafka.version"
fi
