//! What one fdatasync costs on the disk that is measured.

use std::{fs, io::Write as _, path::Path, time::Instant};

use anyhow::Result;

use crate::load::percentile;

/// Milliseconds of an append of 4 KiB with fdatasync: median and 99th percentile.
pub fn fdatasync_ms(folder: &Path) -> Result<(f64, f64)> {
    let path = folder.join("fdatasync.probe");
    let mut file = fs::File::create(&path)?;
    let mut micros = Vec::new();
    for _ in 0..2_000 {
        file.write_all(&[7; 4096])?;
        let start = Instant::now();
        file.sync_data()?;
        micros.push(start.elapsed().as_micros() as u32);
    }
    fs::remove_file(path)?;
    micros.sort_unstable();
    Ok((percentile(&micros, 0.5) / 1e3, percentile(&micros, 0.99) / 1e3))
}
