"""Readers of the containers that objects are delivered in, by other libraries than the daemon's."""

import gzip
import io
import struct
import uuid
import zipfile
import zlib

import cramjam
import zstandard

XERIAL_MAGIC = b"\x82SNAPPY\x00"


def plain(data):
    return data


def gzip_one_member(data):
    """Exactly one member, nothing behind it; read by zlib and by the gzip module."""
    reader = zlib.decompressobj(wbits=31)
    content = reader.decompress(data) + reader.flush()
    assert reader.eof, "the gzip member is cut short"
    assert reader.unused_data == b"", "something stands behind the gzip member"
    assert gzip.decompress(data) == content
    return content


def zip_one_entry(data):
    """One deflated entry, named with a UUID."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        (entry,) = archive.infolist()
        assert entry.compress_type == zipfile.ZIP_DEFLATED
        uuid.UUID(entry.filename.split(".")[0])
        return archive.read(entry)


def _raw_snappy(block):
    return bytes(cramjam.snappy.decompress_raw(block))


def snappy_xerial(data):
    """snappy-java's stream: magic, two versions, then length-prefixed raw blocks."""
    assert data[:8] == XERIAL_MAGIC
    version, compatible = struct.unpack(">ii", data[8:16])
    assert (version, compatible) == (1, 1)
    content, at = b"", 16
    while at < len(data):
        (length,) = struct.unpack_from(">i", data, at)
        assert at + 4 + length <= len(data), "a block is cut short"
        content += _raw_snappy(data[at + 4 : at + 4 + length])
        at += 4 + length
    return content


def snappy_hadoop(data):
    """Hadoop's BlockCompressorStream: size of a block, then its length-prefixed raw chunks."""
    content, at = b"", 0
    while at < len(data):
        (size,) = struct.unpack_from(">i", data, at)
        at += 4
        block = b""
        while len(block) < size:
            (length,) = struct.unpack_from(">i", data, at)
            assert at + 4 + length <= len(data), "a chunk is cut short"
            block += _raw_snappy(data[at + 4 : at + 4 + length])
            at += 4 + length
        assert len(block) == size
        content += block
    return content


def zstd_one_frame(data):
    reader = zstandard.ZstdDecompressor().decompressobj()
    content = reader.decompress(data)
    assert reader.unused_data == b"", "something stands behind the zstd frame"
    return content


# compression → reader, extension of the key, Content-Encoding
ALL = {
    "uncompressed": (plain, "", None),
    "gzip": (gzip_one_member, ".gz", "gzip"),
    "zip": (zip_one_entry, ".zip", "zip"),
    "snappy": (snappy_xerial, ".snappy", "snappy-java"),
    "hadoop_snappy": (snappy_hadoop, ".snappy", "hadoop-snappy"),
    "zstd": (zstd_one_frame, ".zst", "zstd"),
}
