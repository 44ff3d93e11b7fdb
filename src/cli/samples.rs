//! Records as they look in the field, for the demonstration. The same ones every time.

use fastrand::Rng;

/// Each kind with its records.
pub fn all(count: usize) -> [(&'static str, Vec<String>); 3] {
    let mut rng = Rng::with_seed(4573);
    let mut make = |kind: fn(&mut Rng, usize) -> String| -> Vec<String> {
        (0..count).map(|index| kind(&mut rng, index)).collect()
    };
    [
        ("sensor readings", make(sensor_reading)),
        ("VPC flow logs", make(flow_log)),
        ("CloudTrail events", make(trail_event)),
    ]
}

/// A moment in 2026, later for each index.
fn epoch_s(index: usize) -> usize {
    1_795_000_000 + index
}

fn sensor_reading(rng: &mut Rng, index: usize) -> String {
    format!(
        r#"{{"sensor_id":{},"ts":{},"current_temperature":{:.2},"status":"{}"}}"#,
        rng.u32(1..100),
        epoch_s(index),
        rng.f64() * 100.0,
        rng.choice(["OK", "OK", "OK", "WARN", "FAIL"]).unwrap_or("OK"),
    )
}

/// Version 2 of the flow log format.
fn flow_log(rng: &mut Rng, index: usize) -> String {
    let start = epoch_s(index);
    format!(
        "2 123456789010 eni-{:08x}abc123de 10.0.{}.{} 10.0.{}.{} {} {} 6 {} {} {start} {} {} OK",
        rng.u32(..),
        rng.u8(..),
        rng.u8(..),
        rng.u8(..),
        rng.u8(..),
        rng.u16(1024..),
        rng.choice([443, 80, 22, 5432]).unwrap_or(443),
        rng.u32(1..60),
        rng.u32(40..90_000),
        start + 60,
        if rng.u8(..10) == 0 { "REJECT" } else { "ACCEPT" },
    )
}

fn trail_event(rng: &mut Rng, index: usize) -> String {
    let name = rng.choice(["PutObject", "GetObject", "AssumeRole", "DescribeInstances"]);
    format!(
        r#"{{"eventVersion":"1.11","eventTime":{},"eventName":"{}","awsRegion":"us-east-1","sourceIPAddress":"203.0.113.{}","userIdentity":{{"type":"AssumedRole","accountId":"123456789010"}},"eventID":"{:032x}","readOnly":{}}}"#,
        epoch_s(index),
        name.unwrap_or("PutObject"),
        rng.u8(..),
        rng.u128(..),
        rng.bool(),
    )
}
