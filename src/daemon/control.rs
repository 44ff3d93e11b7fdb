//! The control operations of the Firehose API on the running daemon. Changes are durable before
//! they are answered.

use serde_json::{Value, json};

use super::{Daemon, DaemonError};
use crate::{
    config::firehose::{self, ApiError, Hose, Operation},
    limits,
};

impl From<DaemonError> for ApiError {
    fn from(error: DaemonError) -> Self {
        tracing::error!(%error, "control operation failed");
        Self::new("InternalFailure", 500, error.to_string())
    }
}

impl Daemon {
    /// One control operation: the request's body in, the answer's body out.
    pub async fn control(&self, operation: Operation, body: &Value) -> Result<Value, ApiError> {
        if operation == Operation::ListDeliveryStreams {
            return self.list(body);
        }
        let name = firehose::parse_name(operation, body)?;
        match operation {
            Operation::CreateDeliveryStream => self.create(body).await,
            Operation::DeleteDeliveryStream => self.delete(name).await,
            Operation::DescribeDeliveryStream => self.hose(name)?.describe_for(body),
            Operation::ListTagsForDeliveryStream => self.hose(name)?.list_tags(body),
            Operation::TagDeliveryStream => self.edit(name, |hose| hose.tag(body)).await,
            Operation::UntagDeliveryStream => self.edit(name, |hose| hose.untag(body)).await,
            Operation::UpdateDestination => {
                let context = self.shared().context();
                self.edit(name, |hose| hose.update(body, &context)).await
            }
            Operation::StartDeliveryStreamEncryption => {
                let context = self.shared().context();
                self.edit(name, |hose| hose.start_encryption(body, &context)).await
            }
            Operation::StopDeliveryStreamEncryption => {
                let context = self.shared().context();
                self.edit(name, |hose| hose.stop_encryption(body, &context)).await
            }
            other => Err(ApiError::new(
                "UnknownOperationException",
                404,
                format!("{} is not a control operation", other.name()),
            )),
        }
    }

    pub fn not_found(&self, name: &str) -> ApiError {
        firehose::not_found(name, &self.shared().account_id)
    }

    fn hose(&self, name: &str) -> Result<Hose, ApiError> {
        self.stream(name).map(|stream| stream.hose()).ok_or_else(|| self.not_found(name))
    }

    fn list(&self, body: &Value) -> Result<Value, ApiError> {
        let streams = self.streams();
        let hoses: Vec<Hose> = streams.values().map(|stream| stream.hose()).collect();
        firehose::list(hoses.iter().map(|hose| (hose.name.as_str(), hose.stream_type)), body)
    }

    async fn create(&self, body: &Value) -> Result<Value, ApiError> {
        let hose = Hose::create(body, &self.shared().context())?;
        let _one_at_a_time = self.0.changing.lock().await;
        self.check_running()?;
        if self.stream(&hose.name).is_some() {
            return Err(firehose::already_exists(&hose.name, &hose.account_id));
        }
        if self.streams().len() >= limits::STREAMS_MAX {
            return Err(firehose::quota_consumed());
        }
        self.shared().store.set_aside(&hose.name)?;
        self.shared().store.save(&hose)?;
        let arn = hose.arn();
        let name = hose.name.clone();
        if let Err(error) = self.add(hose.to_spec(), hose).await {
            self.shared().store.remove(&name)?;
            return Err(error.into());
        }
        Ok(json!({"DeliveryStreamARN": arn}))
    }

    /// What changes streams must not come after the end.
    fn check_running(&self) -> Result<(), ApiError> {
        if self.is_stopping() {
            return Err(ApiError::unavailable("The daemon is stopping."));
        }
        Ok(())
    }

    async fn delete(&self, name: &str) -> Result<Value, ApiError> {
        let _one_at_a_time = self.0.changing.lock().await;
        self.check_running()?;
        let stream = self.stream(name).ok_or_else(|| self.not_found(name))?;
        stream.hose().check_deletable()?;
        self.take_out(name);
        stream.abandon().await;
        self.shared().store.remove(name)?;
        tracing::info!(stream = name, "stream deleted");
        Ok(json!({}))
    }

    /// Changes a stream made by the API: written down first, then put into effect.
    async fn edit(
        &self,
        name: &str,
        edit: impl FnOnce(&Hose) -> Result<Hose, ApiError>,
    ) -> Result<Value, ApiError> {
        let _one_at_a_time = self.0.changing.lock().await;
        self.check_running()?;
        let stream = self.stream(name).ok_or_else(|| self.not_found(name))?;
        let before = stream.hose();
        let after = edit(&before)?;
        self.shared().store.save(&after)?;
        if after.to_spec() == before.to_spec() {
            stream.set_hose(after);
        } else {
            self.change(&stream, after.to_spec(), after).await?;
        }
        Ok(json!({}))
    }
}
