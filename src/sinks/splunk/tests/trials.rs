//! The trial of a destination.

use super::*;

const WAY: [&str; 2] = ["name resolution", "connection"];

/// The steps of a trial: their names, and `ok` or the code of what is wrong.
async fn trial(acknowledgment: bool, health: Reply, ack: Reply) -> (Vec<(String, String)>, Hec) {
    let hec =
        Hec::start(move |call| if call.is_poll() { ack.clone() } else { health.clone() }).await;
    let trials = sink(Options { acknowledgment, ..options(&hec) }).check().await;
    // The way there is the same for all.
    let own = trials.into_iter().filter(|trial| !WAY.contains(&trial.step));
    let steps = own.map(|Trial { step, result }| {
        (step.to_owned(), result.map_or_else(|cause| cause.code, |_| "ok".into()))
    });
    (steps.collect(), hec)
}

fn steps(steps: &[(&str, &str)]) -> Vec<(String, String)> {
    steps.iter().map(|&(step, result)| (step.to_owned(), result.to_owned())).collect()
}

fn healthy() -> Reply {
    Reply::new(200, r#"{"text":"HEC is healthy","code":17}"#)
}

#[tokio::test]
async fn a_good_token_passes_and_nothing_is_written() {
    let unknown = Reply::new(200, r#"{"acks":{"0":false}}"#);
    let (found, hec) = trial(true, healthy(), unknown).await;
    let all = [("health", "ok"), ("authentication", "ok"), ("acknowledgement", "ok")];
    assert_eq!(found, steps(&all));
    let calls: Vec<_> =
        hec.calls().iter().map(|call| format!("{} {}", call.method, call.uri)).collect();
    assert_eq!(calls, ["GET /services/collector/health", "POST /services/collector/ack"]);
}

#[tokio::test]
async fn a_trial_ends_at_the_first_step_that_fails() {
    let pass = ("health", "ok");
    let known = ("authentication", "ok");
    for (health, ack, expected) in [
        (coded(503, 18), coded(200, 0), vec![("health", "Splunk.IndexerBusy")]),
        (coded(400, 21), coded(200, 0), vec![("health", "Splunk.InvalidToken")]),
        (coded(200, 1), coded(200, 0), vec![("health", "Splunk.DisabledToken")]),
        (Reply::new(404, ""), coded(200, 0), vec![("health", "Splunk.URLNotFound")]),
        (Reply::cut(), coded(200, 0), vec![("health", "Splunk.ConnectionClosed")]),
        (
            Reply::new(200, "<html>"),
            coded(200, 0),
            vec![("health", "Splunk.InvalidHecResponseCharacter")],
        ),
        (healthy(), coded(403, 4), vec![pass, ("authentication", "Splunk.InvalidToken")]),
        (healthy(), coded(403, 1), vec![pass, ("authentication", "Splunk.DisabledToken")]),
        (healthy(), coded(500, 8), vec![pass, ("authentication", "Splunk.ServerError")]),
        (healthy(), coded(400, 14), vec![pass, known, ("acknowledgement", "Splunk.DisabledAck")]),
        (
            healthy(),
            coded(400, 11),
            vec![pass, known, ("acknowledgement", "Splunk.InvalidEndpoint")],
        ),
    ] {
        assert_eq!(trial(true, health, ack).await.0, steps(&expected));
    }
}

#[tokio::test]
async fn acknowledgement_may_be_off_where_nobody_wants_it() {
    let found = trial(false, healthy(), coded(400, 14)).await.0;
    let all = [("health", "ok"), ("authentication", "ok"), ("acknowledgement", "ok")];
    assert_eq!(found, steps(&all));
}

#[tokio::test]
async fn splunks_own_words_are_told() {
    let hec = Hec::start(|_| healthy()).await;
    let trials = sink(options(&hec)).check().await;
    assert_eq!(trials[WAY.len()].result, Ok("HEC is healthy (HTTP 200, code 17)".into()));
}
