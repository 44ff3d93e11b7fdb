//! What the unavoidable work costs alone, on the same records and one thread: the floor that the
//! daemon is held against.

use std::{fs, hint::black_box, io::Write as _};

use anyhow::{Context as _, Result};
use aws_lc_rs::digest::{SHA256, digest};
use serde::Deserialize;

use crate::data::{self, Body, Kind};

/// Objects are compressed in pieces of this size, as the daemon's buffering has it.
const OBJECT_BYTES: usize = 5 << 20;
/// Every kernel runs over the data until it has used this much CPU.
const ENOUGH_S: f64 = 0.5;

/// CPU seconds per GB of record bytes, and sizes relative to the records.
pub struct Kernels {
    pub decode: f64,
    pub sha256: f64,
    pub crc32c: f64,
    pub libdeflate_1: f64,
    pub libdeflate_1_size: f64,
    pub zlib_3: f64,
    pub zlib_3_size: f64,
}

pub fn measure(kind: Kind, bodies: &[Body]) -> Result<Kernels> {
    let bodies = &bodies[..bodies.len().min(64)];
    let plain = data::plain(kind, 64 << 20);
    let record_bytes: u64 = bodies.iter().map(|b| b.record_bytes).sum();

    let decode = cpu_per_gb(record_bytes, || {
        let mut out = Vec::with_capacity(8 << 20);
        for body in bodies {
            out.clear();
            decode(&body.json, &mut out)?;
            black_box(&out);
        }
        Ok(())
    })?;
    let sha256 = cpu_per_gb(record_bytes, || {
        for body in bodies {
            black_box(digest(&SHA256, &body.json));
        }
        Ok(())
    })?;
    let crc32c = cpu_per_gb(plain.len() as u64, || {
        black_box(crc32c::crc32c(&plain));
        Ok(())
    })?;
    let mut size = 0;
    let libdeflate_1 = cpu_per_gb(plain.len() as u64, || {
        size = 0;
        for object in plain.chunks(OBJECT_BYTES) {
            size += gzip_libdeflate(object, 1)?;
        }
        Ok(())
    })?;
    let libdeflate_1_size = size as f64 / plain.len() as f64;
    let zlib_3 = cpu_per_gb(plain.len() as u64, || {
        size = 0;
        for object in plain.chunks(OBJECT_BYTES) {
            size += gzip_zlib(object, 3)?;
        }
        Ok(())
    })?;
    let zlib_3_size = size as f64 / plain.len() as f64;
    Ok(Kernels { decode, sha256, crc32c, libdeflate_1, libdeflate_1_size, zlib_3, zlib_3_size })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch<'a> {
    #[serde(borrow)]
    records: Vec<Record<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record<'a> {
    #[serde(borrow)]
    data: &'a str,
}

/// sonic-rs for the JSON, base64-simd for the records, straight into one buffer.
fn decode(json: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let batch: Batch<'_> = sonic_rs::from_slice(json)?;
    for record in batch.records {
        base64_simd::STANDARD.decode_append(record.data.as_bytes(), out)?;
    }
    Ok(())
}

fn gzip_libdeflate(object: &[u8], level: i32) -> Result<usize> {
    let level = libdeflater::CompressionLvl::new(level).ok().context("a valid level")?;
    let mut compressor = libdeflater::Compressor::new(level);
    let mut out = vec![0; compressor.gzip_compress_bound(object.len())];
    Ok(compressor.gzip_compress(object, &mut out)?)
}

/// flate2's backend in this build is zlib-rs, whose levels give the sizes of zlib-ng.
fn gzip_zlib(object: &[u8], level: u32) -> Result<usize> {
    let out = Vec::with_capacity(object.len() / 2);
    let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::new(level));
    encoder.write_all(object)?;
    Ok(encoder.finish()?.len())
}

/// Runs `work` over `bytes` until enough CPU is used; CPU seconds per GB.
fn cpu_per_gb(bytes: u64, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    work()?;
    let start = thread_cpu_s()?;
    let mut rounds = 0;
    loop {
        work()?;
        rounds += 1;
        let used = thread_cpu_s()? - start;
        if used >= ENOUGH_S {
            return Ok(used / (rounds as f64 * bytes as f64 / 1e9));
        }
    }
}

/// CPU time of this thread: the first field of schedstat, in nanoseconds.
fn thread_cpu_s() -> Result<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos: u64 = text.split_whitespace().next().context("schedstat")?.parse()?;
    Ok(nanos as f64 / 1e9)
}
