//! What the unavoidable work costs alone, on the same records and one thread: the floor that the
//! daemon is held against.

use std::{
    fs,
    hint::black_box,
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use aws_lc_rs::digest::{SHA256, digest};
use serde::Deserialize;
use standpipe::net;

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
    pub gzip: Vec<Gzip>,
    pub zlib_rs: Gzip,
    /// zlib itself at level 3, where Python is there to ask: its version, and the size it leaves.
    pub zlib: Option<(String, f64)>,
}

/// One way to make gzip.
pub struct Gzip {
    pub name: &'static str,
    pub cpu: f64,
    pub size: f64,
}

impl Kernels {
    /// The size that zlib level 3 leaves: zlib's own, or that of its Rust port.
    pub fn reference(&self) -> (String, f64) {
        self.zlib.clone().unwrap_or_else(|| ("zlib-rs".into(), self.zlib_rs.size))
    }
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
    Ok(Kernels {
        decode,
        sha256,
        crc32c,
        gzip: vec![
            gzip(&plain, "as the daemon does", |object| Ok(net::gzip::pack(object).len()))?,
            gzip(&plain, "libdeflate level 1", |object| gzip_libdeflate(object, 1))?,
            gzip(&plain, "libdeflate level 2", |object| gzip_libdeflate(object, 2))?,
        ],
        zlib_rs: gzip(&plain, "zlib-rs level 3", |object| gzip_zlib_rs(object, 3))?,
        zlib: zlib_size(&plain),
    })
}

fn gzip(plain: &[u8], name: &'static str, one: fn(&[u8]) -> Result<usize>) -> Result<Gzip> {
    let mut size = 0;
    let cpu = cpu_per_gb(plain.len() as u64, || {
        size = 0;
        for object in plain.chunks(OBJECT_BYTES) {
            size += one(object)?;
        }
        Ok(())
    })?;
    Ok(Gzip { name, cpu, size: size as f64 / plain.len() as f64 })
}

/// Asks Python's zlib, which is the C library itself; the Rust port makes other sizes.
fn zlib_size(plain: &[u8]) -> Option<(String, f64)> {
    const SCRIPT: &str = "import sys,zlib\nd=sys.stdin.buffer.read();n=int(sys.argv[1])\n\
        print(zlib.ZLIB_RUNTIME_VERSION,\
        sum(len(zlib.compress(d[i:i+n],3)) for i in range(0,len(d),n))/len(d))";
    let mut child = Command::new("python3")
        .args(["-c", SCRIPT, &OBJECT_BYTES.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(plain).ok()?;
    let output = child.wait_with_output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (version, size) = text.trim().split_once(' ')?;
    Some((format!("zlib {version}"), size.parse().ok()?))
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

fn gzip_libdeflate(object: &[u8], level: u32) -> Result<usize> {
    let level = libdeflater::CompressionLvl::new(level as i32).ok().context("a valid level")?;
    let mut compressor = libdeflater::Compressor::new(level);
    let mut out = vec![0; compressor.gzip_compress_bound(object.len())];
    Ok(compressor.gzip_compress(object, &mut out)?)
}

/// flate2's backend in this build is zlib-rs, whose levels are zlib-ng's rather than zlib's.
fn gzip_zlib_rs(object: &[u8], level: u32) -> Result<usize> {
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
