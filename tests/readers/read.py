"""Prints the SHA-256 of what a Python reader finds in an object.

  read.py FILE FORMAT

FORMAT: uncompressed, gzip, zip, snappy, hadoop_snappy or zstd. The last three need `cramjam` and
`zstandard` (pip).
"""

import gzip
import hashlib
import io
import struct
import sys
import zipfile

XERIAL_HEADER = b"\x82SNAPPY\x00" + struct.pack(">II", 1, 1)


def read_zip(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (name,) = archive.namelist()
        return archive.read(name)


def read_blocks(data, raw_lengths):
    import cramjam

    out, at = [], 0
    while at < len(data):
        raw = None
        if raw_lengths:
            (raw,) = struct.unpack_from(">I", data, at)
            at += 4
        (length,) = struct.unpack_from(">I", data, at)
        block = bytes(cramjam.snappy.decompress_raw(data[at + 4 : at + 4 + length]))
        if raw is not None and raw != len(block):
            raise ValueError(f"a block of {len(block)} bytes says {raw}")
        out.append(block)
        at += 4 + length
    return b"".join(out)


def read_xerial(data):
    if not data.startswith(XERIAL_HEADER):
        raise ValueError("not a snappy-java stream")
    return read_blocks(data[len(XERIAL_HEADER) :], raw_lengths=False)


def read_zstd(data):
    import zstandard

    return zstandard.ZstdDecompressor().decompress(data)


READERS = {
    "uncompressed": bytes,
    "gzip": gzip.decompress,
    "zip": read_zip,
    "snappy": read_xerial,
    "hadoop_snappy": lambda data: read_blocks(data, raw_lengths=True),
    "zstd": read_zstd,
}


def main():
    if len(sys.argv) != 3 or sys.argv[2] not in READERS:
        sys.exit(__doc__)
    with open(sys.argv[1], "rb") as file:
        print(hashlib.sha256(READERS[sys.argv[2]](file.read())).hexdigest())


if __name__ == "__main__":
    main()
