//! `standpipe replay`: failed records put through again.

mod direct;
mod options;
mod show;
mod stream;

use std::{convert::Infallible, process::ExitCode, sync::Arc};

use anyhow::Context;
use indicatif::ProgressBar;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub use self::options::Arguments;
use super::{INTERRUPTED, output, runtime, send};
use crate::{
    env::{Env, SystemClock},
    limits,
    replay::{self, Advance, Deliverer, End, Observer, Plan, Source, State, Store},
};

pub fn execute(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let runtime = runtime()?;
    let answer = runtime.block_on(replay(&arguments));
    // A read from a disk that hangs cannot be called back.
    runtime.shutdown_background();
    answer
}

async fn replay(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let source = Source::parse(&arguments.source)?;
    let env = Env { clock: Arc::new(SystemClock::default()), ..Env::real() };
    let stop = CancellationToken::new();
    let mut plan = plan(arguments, &source, &env, stop.clone()).await?;
    plan.check()?;
    let signals = signal(SignalKind::interrupt()).context("Ctrl-C cannot be heard")?;
    let interrupts = tokio::spawn(send::interrupt(signals, stop.clone()));
    let bar = Bar(send::progress::bar(Some(0)));

    let report = if arguments.dry_run {
        replay::survey(plan, &bar).await
    } else {
        let deliverer = deliverer(arguments, &stop).await?;
        if arguments.destination.is_given() {
            plan.in_flight = direct::IN_FLIGHT;
        }
        plan.state = Some(state(arguments, &source, &env)?);
        tokio::select! {
            report = replay::run(plan, &*deliverer, &bar) => report,
            never = tell_trouble(&*deliverer, &bar) => match never {},
        }
    };
    bar.0.finish_and_clear();
    interrupts.abort();

    output::print(&show::report(&report, arguments.dry_run))?;
    Ok(match &report.end {
        End::Stopped => ExitCode::from(INTERRUPTED),
        End::Failed(reason) => return Err(anyhow::anyhow!("the replay ended early: {reason}")),
        End::Complete if report.is_clean() => ExitCode::SUCCESS,
        End::Complete => ExitCode::FAILURE,
    })
}

async fn plan(
    arguments: &Arguments,
    source: &Source,
    env: &Env,
    stop: CancellationToken,
) -> anyhow::Result<Plan> {
    let now_ms = env.clock.now_ms();
    let store = Store::connect(source, arguments.s3.options()).await?;
    Ok(Plan {
        contents: arguments.contents(),
        delimiter: arguments.delimiter.clone().into_bytes(),
        keep_delimiter: !arguments.trim_delimiter,
        filter: Arc::new(arguments.filter.build(now_ms)?),
        replays_max: arguments.max_replays,
        attempts_max: arguments.max_attempts,
        rate: arguments.rate(),
        disposal: arguments.disposal(source)?,
        stop,
        ..Plan::new(Arc::new(store), source.prefix(), now_ms)
    })
}

/// Says what keeps the replay from going on, each time it is something else.
async fn tell_trouble(deliverer: &dyn Deliverer, bar: &Bar) -> Infallible {
    let mut told = None;
    loop {
        tokio::time::sleep(limits::REPLAY_TROUBLE_EVERY).await;
        let trouble = deliverer.trouble();
        if trouble != told {
            bar.0.suspend(|| match &trouble {
                Some(trouble) => eprintln!("warning: the destination does not go on: {trouble}"),
                None => eprintln!("the destination goes on"),
            });
            told = trouble;
        }
    }
}

/// Who takes the records.
async fn deliverer(
    arguments: &Arguments,
    stop: &CancellationToken,
) -> anyhow::Result<Box<dyn Deliverer>> {
    let stream = arguments.stream.as_deref();
    if arguments.destination.is_given() {
        return Ok(Box::new(arguments.destination.connect(stream, stop.clone()).await?));
    }
    let stream = stream.context("--stream, --destination or --to says where the records go")?;
    let deliverer = stream::StreamDeliverer::connect(
        &arguments.connection,
        stream,
        arguments.max_retries,
        stop.clone(),
    );
    Ok(Box::new(deliverer.await?))
}

fn state(arguments: &Arguments, source: &Source, env: &Env) -> anyhow::Result<State> {
    let purpose = arguments.purpose(source)?;
    let path = match &arguments.state {
        Some(path) => path.clone(),
        None => {
            options::state_folder()?.join(format!("replay-{}.jsonl", replay::fingerprint(&purpose)))
        }
    };
    Ok(State::open(env, &path, &purpose)?)
}

/// The bar of bytes, as far as they are listed.
struct Bar(ProgressBar);

impl Observer for Bar {
    fn advanced(&self, advance: &Advance) {
        self.0.set_length(advance.listed_bytes.max(advance.done_bytes));
        self.0.set_position(advance.done_bytes);
        let more = if advance.is_listed { "" } else { "+" };
        self.0.set_message(format!(
            "{}/{}{more} objects, {} records",
            advance.done_objects, advance.listed_objects, advance.records
        ));
    }
}
