//! Every destination of a configuration tried once, without a stream.

use super::{
    DaemonError,
    build::{self, Outlet},
    requests::Owner,
};
use crate::{
    config::Config,
    env::{CpuPool, Env},
    fault::Cause,
    seams::Trial,
};

/// Tries the destinations of these streams (of all, if none is named), and the buckets of what
/// they do not take. `each` hears of every step with the names of stream and destination. Answers
/// whether all went well.
pub async fn check(
    config: &Config,
    streams: &[String],
    mut each: impl FnMut(&str, &str, &Trial),
) -> Result<bool, DaemonError> {
    let env = Env::real();
    if let Some(unknown) = streams.iter().find(|name| !config.streams.contains_key(*name)) {
        let known: Vec<&str> = config.streams.keys().map(String::as_str).collect();
        let reason = format!("it is not in the configuration; there are: {}", known.join(", "));
        return Err(DaemonError::Stream { stream: unknown.clone(), reason });
    }
    let mut well = true;
    for (name, spec) in &config.streams {
        if !streams.is_empty() && !streams.contains(name) {
            continue;
        }
        let failed = |reason| DaemonError::Stream { stream: name.clone(), reason };
        for outlet in build::outlets(spec, &config.aws, true).map_err(failed)? {
            for (part, trial) in trials(config, name, &outlet, &env).await {
                well &= trial.result.is_ok();
                each(name, &part, &trial);
            }
        }
    }
    Ok(well)
}

async fn trials(config: &Config, stream: &str, outlet: &Outlet, env: &Env) -> Vec<(String, Trial)> {
    let (region, account) = (&config.api.region, &config.api.account_id);
    let arn = format!("arn:aws:firehose:{region}:{account}:deliverystream/{stream}");
    let owner = Owner { arn, tag: "check".into() };
    let ways = match build::ways(outlet, false, owner, None, env, &CpuPool::default()).await {
        Ok(ways) => ways,
        Err(reason) => {
            let result = Err(Cause::new("Standpipe.InvalidSettings", reason));
            return vec![(outlet.name.clone(), Trial { step: "settings", result })];
        }
    };
    let mut found = Vec::new();
    for trial in ways.way.sink.check().await {
        found.push((outlet.name.clone(), trial));
    }
    if let Some(backup) = ways.backup {
        for trial in backup.sink.check().await {
            found.push((format!("{}.backup", outlet.name), trial));
        }
    }
    found
}
