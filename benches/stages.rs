//! What each stage costs by itself: throughput of every compression container, per byte of raw
//! records, on many small records and on fewer larger ones.
//!
//!   cargo bench --bench stages

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use standpipe::{
    encode::{Compression, encoder},
    seams::RawBatch,
};

/// The default size of a batch.
const BATCH_BYTES: usize = 5 << 20;

const CONTAINERS: [(&str, Compression); 6] = [
    ("uncompressed", Compression::Uncompressed),
    ("gzip", Compression::Gzip),
    ("zip", Compression::Zip),
    ("snappy", Compression::Snappy),
    ("hadoop_snappy", Compression::HadoopSnappy),
    ("zstd", Compression::Zstd),
];

/// JSON lines of about `record_bytes` each, with the mix of constant and random text that
/// click-stream records have.
fn batch(record_bytes: usize) -> RawBatch {
    let mut random = fastrand::Rng::with_seed(1);
    let (mut data, mut records) = (Vec::new(), 0);
    while data.len() < BATCH_BYTES {
        data.extend_from_slice(record(record_bytes, &mut random).as_bytes());
        records += 1;
    }
    RawBatch::of(data, records)
}

fn record(bytes: usize, random: &mut fastrand::Rng) -> String {
    let mut text = format!(
        r#"{{"user":{},"event":"{}","time":"2026-07-13T14:{:02}:{:02}Z""#,
        random.u32(..1_000_000),
        ["view", "click", "purchase"][random.usize(..3)],
        random.u8(..60),
        random.u8(..60),
    );
    let mut field = 0;
    while text.len() + 30 < bytes {
        let value = random.u64(..1 << 40);
        text.push_str(&format!(r#","field_{field}":"{value:x}""#));
        field += 1;
    }
    text.push_str("}\n");
    text
}

fn containers(criterion: &mut Criterion) {
    for (size, bytes) in [("116 B", 116), ("1.5 KB", 1500)] {
        let mut group = criterion.benchmark_group(format!("encode, records of {size}"));
        let batch = batch(bytes);
        group.throughput(Throughput::Bytes(batch.data_bytes()));
        group.sample_size(20);
        for (name, compression) in CONTAINERS {
            let encoder = encoder(compression);
            group.bench_function(name, |bencher| {
                bencher.iter_batched(
                    || batch.clone(),
                    |batch| black_box(encoder.encode(batch)),
                    BatchSize::LargeInput,
                );
            });
        }
        group.finish();
    }
}

criterion_group!(stages, containers);
criterion_main!(stages);
