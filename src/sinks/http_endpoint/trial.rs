//! A trial of an endpoint.

use super::{HttpEndpointSink, answer::with_status, body, status};
use crate::{
    fault::{Cause, Fault},
    limits,
    net::{http::send_for_status, probe::probe},
    seams::Trial,
};

/// Goes the way to the server, then sends one request.
pub(super) async fn run(sink: &HttpEndpointSink) -> Vec<Trial> {
    let request_id = uuid::Uuid::new_v4().to_string();
    let head = match sink.head(&request_id).await {
        Ok(head) => head,
        Err(fault) => return vec![failed("configuration", &fault)],
    };
    let mut trials = probe(&head.url, &sink.options.tls).await;
    if trials.iter().any(|trial| trial.result.is_err()) {
        return trials;
    }
    trials.push(if sink.is_firehose() {
        delivery(sink, &request_id).await
    } else {
        question(sink, &request_id).await
    });
    trials
}

/// A delivery of one empty record.
async fn delivery(sink: &HttpEndpointSink, request_id: &str) -> Trial {
    const STEP: &str = "delivery of an empty record";
    let sent = async {
        let body = body::envelope(request_id, sink.clock.now_ms(), &[b""])?;
        let gzipped = sink.options.content_encoding == super::ContentEncoding::Gzip;
        sink.exchange(request_id, if gzipped { body.packed() } else { body.bytes }).await
    };
    match sent.await {
        Ok(_) => Trial { step: STEP, result: Ok("taken, answered as the protocol asks".into()) },
        Err(fault) => failed(STEP, &fault),
    }
}

/// A request without body. Many endpoints know no HEAD and say so: they answer, and that is all
/// that is asked.
async fn question(sink: &HttpEndpointSink, request_id: &str) -> Trial {
    const STEP: &str = "request";
    let asked = async {
        let head = sink.head(request_id).await?;
        let client = sink.client()?;
        let mut headers = head.headers;
        for name in ["content-type", "content-encoding", "idempotency-key"] {
            headers.remove(name);
        }
        let request = client.head(head.url).headers(headers).build().map_err(|error| {
            let text = error.without_url().to_string();
            Fault::halt("HttpEndpoint.MakeRequestFailure.IllegalUriException", text)
        })?;
        let timeout = sink.options.timeout.0;
        let answer = send_for_status(&client, request, timeout, limits::ENDPOINT_QUOTE_BYTES)
            .await
            .map_err(|error| super::unanswered(&error))?;
        match answer.status.as_u16() {
            401 | 403 | 407 | 500 | 502..=504 => status::judge(&answer, &head.secrets)?,
            _ => {}
        }
        Ok::<_, Fault>(with_status(&answer, "", &[]))
    };
    match asked.await {
        Ok(text) => Trial { step: STEP, result: Ok(format!("HEAD was answered with {text}")) },
        Err(fault) => failed(STEP, &fault),
    }
}

fn failed(step: &'static str, fault: &Fault) -> Trial {
    let Cause { code, message } = fault.cause();
    Trial { step, result: Err(Cause::new(code.clone(), message.clone())) }
}
