//! What the kernel says of a process.

use std::fs;

use anyhow::{Context as _, Result};

/// Clock ticks per second in /proc/PID/stat: a constant of the kernel's interface (USER_HZ).
const TICKS_PER_S: f64 = 100.0;

/// CPU seconds used so far, user and system. Also of one that has ended and is not waited for yet.
pub fn cpu_s(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold spaces; fields are counted behind it.
    let fields: Vec<_> = stat.rsplit_once(')').context("stat")?.1.split_whitespace().collect();
    let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(ticks as f64 / TICKS_PER_S)
}

/// Resident memory in MB: now, and the most so far.
pub fn memory_mb(pid: u32) -> Result<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let of = |name: &str| -> Result<f64> {
        let line = status.lines().find(|l| l.starts_with(name)).context("status")?;
        let kib: f64 = line.split_whitespace().nth(1).context("status")?.parse()?;
        Ok(kib * 1024.0 / 1e6)
    };
    Ok((of("VmRSS:")?, of("VmHWM:")?))
}
