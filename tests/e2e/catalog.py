"""A Glue Data Catalog beside an S3, in one moto server."""

import subprocess

import boto3

import harness

DATABASE = "lake"


class Catalog(harness.S3Server):
    def start(self):
        with (self.folder / "moto.log").open("ab") as log:
            self.process = subprocess.Popen(
                [harness.CACHE / "venv/bin/moto_server", "-H", "127.0.0.1", "-p", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        harness.wait_for(lambda: harness.listening(self.port), "moto listens")
        self.glue = boto3.client(
            "glue",
            endpoint_url=self.url,
            region_name=harness.REGION,
            aws_access_key_id=harness.ACCESS_KEY,
            aws_secret_access_key=harness.SECRET_KEY,
            config=harness.no_retries(),
        )
        self.glue.create_database(DatabaseInput={"Name": DATABASE})
        return self

    def table(self, name, columns, partition_keys="", location="s3://bucket/data/"):
        """The input of a table; columns are written `id bigint; tags array<string>`."""
        hive_class = "org.apache.hadoop.hive.ql.io.parquet"
        return {
            "Name": name,
            "TableType": "EXTERNAL_TABLE",
            "PartitionKeys": as_columns(partition_keys),
            "StorageDescriptor": {
                "Columns": as_columns(columns),
                "Location": location,
                "InputFormat": f"{hive_class}.MapredParquetInputFormat",
                "OutputFormat": f"{hive_class}.MapredParquetOutputFormat",
                "SerdeInfo": {
                    "SerializationLibrary": f"{hive_class}.serde.ParquetHiveSerDe",
                    "Parameters": {"serialization.format": "1"},
                },
            },
        }

    def create_table(self, *table, **more):
        self.glue.create_table(DatabaseName=DATABASE, TableInput=self.table(*table, **more))

    def update_table(self, *table, **more):
        self.glue.update_table(DatabaseName=DATABASE, TableInput=self.table(*table, **more))

    def partitions(self, table):
        answer = self.glue.get_partitions(DatabaseName=DATABASE, TableName=table)
        return {tuple(partition["Values"]): partition for partition in answer["Partitions"]}


def as_columns(text):
    pairs = (column.split(maxsplit=1) for column in text.split(";") if column.strip())
    return [{"Name": name, "Type": of.strip()} for name, of in pairs]
