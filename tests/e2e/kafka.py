"""A real Apache Kafka of one broker in KRaft mode, as a process of its own.

Listeners: PLAINTEXT, SASL without TLS (PLAIN, SCRAM-SHA-512, and OAUTHBEARER with tokens that are
not signed), and, with certificates, TLS. Run as a program it is the broker of the benchmark:
`kafka.py FOLDER` says where it listens, and ends with its standard input.
"""

import pathlib
import subprocess
import sys

import harness

JARS = harness.CACHE / "kafka"
CLUSTER = "c3RhbmRwaXBlLWNsdXN0ZXI"
PLAIN = ("alice", "plain-secret")
SCRAM = ("bob", "scram-secret")

_LOGIN = "org.apache.kafka.common.security"


class Kafka(harness.Process):
    """One broker; its data lives as long as its folder, across `stop` and `start`."""

    def __init__(self, folder, certificates=None, **settings):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.sasl_port = harness.free_port(), harness.free_port()
        self.tls_port = harness.free_port() if certificates else None
        self.controller_port = harness.free_port()
        self.certificates = certificates
        self.settings = settings

    @property
    def brokers(self):
        return f"127.0.0.1:{self.port}"

    @property
    def sasl_brokers(self):
        return f"127.0.0.1:{self.sasl_port}"

    @property
    def tls_brokers(self):
        return f"127.0.0.1:{self.tls_port}"

    @property
    def log_path(self):
        return self.folder / "kafka.log"

    def _properties(self):
        listeners = {
            "PLAINTEXT": (self.port, "PLAINTEXT"),
            "CONTROLLER": (self.controller_port, "PLAINTEXT"),
            "SASL": (self.sasl_port, "SASL_PLAINTEXT"),
        }
        sasl = "listener.name.sasl"
        properties = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": self.folder / "data",
            "offsets.topic.num.partitions": 1,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "auto.create.topics.enable": "false",
            # So that a test can let records expire.
            "log.retention.check.interval.ms": 1000,
            "log.segment.delete.delay.ms": 0,
            f"{sasl}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512,OAUTHBEARER",
            f"{sasl}.plain.sasl.jaas.config": f"{_LOGIN}.plain.PlainLoginModule required "
            f'user_{PLAIN[0]}="{PLAIN[1]}";',
            f"{sasl}.scram-sha-512.sasl.jaas.config": f"{_LOGIN}.scram.ScramLoginModule required;",
            f"{sasl}.oauthbearer.sasl.jaas.config": f"{_LOGIN}.oauthbearer.OAuthBearerLoginModule "
            'required unsecuredLoginStringClaim_sub="broker";',
        }
        if self.certificates:
            listeners["TLS"] = (self.tls_port, "SSL")
            folder = pathlib.Path(self.certificates)
            store = self.folder / "server.pem"
            store.write_text(
                (folder / "server.key").read_text() + (folder / "server.crt").read_text()
            )
            tls = "listener.name.tls"
            properties |= {
                f"{tls}.ssl.keystore.type": "PEM",
                f"{tls}.ssl.keystore.location": store,
                f"{tls}.ssl.truststore.type": "PEM",
                f"{tls}.ssl.truststore.location": folder / "ca.crt",
                f"{tls}.ssl.client.auth": "required",
            }
        properties["listeners"] = ",".join(
            f"{name}://127.0.0.1:{port}" for name, (port, _) in listeners.items()
        )
        properties["listener.security.protocol.map"] = ",".join(
            f"{name}:{protocol}" for name, (_, protocol) in listeners.items()
        )
        return properties | {key.replace("__", "."): value for key, value in self.settings.items()}

    def _java(self, main, *arguments, **options):
        command = [
            *["java", "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"],
            *["-cp", f"{JARS}/*", f"-Dlog4j.configuration=file:{self.folder / 'log4j.properties'}"],
            *[main, *map(str, arguments)],
        ]
        return subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, **options)

    def start(self):
        server = self.folder / "server.properties"
        server.write_text("".join(f"{key}={value}\n" for key, value in self._properties().items()))
        (self.folder / "log4j.properties").write_text(
            "log4j.rootLogger=WARN, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n"
            "log4j.appender.out.layout=org.apache.log4j.PatternLayout\n"
            "log4j.appender.out.layout.ConversionPattern=%d %p %c{1} %m%n\n"
        )
        with self.log_path.open("ab") as log:
            if not (self.folder / "data/meta.properties").exists():
                user, password = SCRAM
                formatting = self._java(
                    "kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", server,
                    "--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]",
                    stdout=log, stderr=log,
                )
                assert formatting.wait(self.start_timeout_s) == 0, self.log_path.read_text()[-4000:]
            self.process = self._java("kafka.Kafka", server, stdout=log, stderr=log)
        return self.wait_ready()

    def is_ready(self):
        return harness.listening(self.port)


if __name__ == "__main__":
    broker = Kafka(sys.argv[1]).start()
    try:
        print(broker.brokers, flush=True)
        sys.stdin.read()
    finally:
        broker.stop()
