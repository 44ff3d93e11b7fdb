//! Tags of a stream.

use std::{collections::BTreeMap, ops::Bound};

use serde_json::{Value, json};

use super::{ApiError, Hose, Operation, operation::known_input};
use crate::limits;

/// The tags of a request's list; the last of two with one key counts.
pub(super) fn from_list(list: &Value) -> BTreeMap<String, Option<String>> {
    let pair = |tag: &Value| {
        let text = |member: &str| tag[member].as_str().map(str::to_owned);
        text("Key").map(|key| (key, text("Value")))
    };
    list.as_array().into_iter().flatten().filter_map(pair).collect()
}

impl Hose {
    /// The stream after TagDeliveryStream: new tags are added, known keys get the new value.
    ///
    /// # Errors
    /// What `check` answers, LimitExceededException above `limits::TAGS_MAX` tags, and
    /// InvalidArgumentException for a stream of the configuration file.
    pub fn tag(&self, body: &Value) -> Result<Self, ApiError> {
        let body = known_input(Operation::TagDeliveryStream, body)?;
        self.check_changeable()?;
        let mut tagged = self.clone();
        tagged.tags.extend(from_list(&body["Tags"]));
        if tagged.tags.len() > limits::TAGS_MAX {
            let message =
                format!("Firehose {} can have at most {} tags.", self.name, limits::TAGS_MAX);
            return Err(ApiError::new("LimitExceededException", 400, message));
        }
        Ok(tagged)
    }

    /// The stream after UntagDeliveryStream; unknown keys are ignored.
    ///
    /// # Errors
    /// What `check` answers, and InvalidArgumentException for a stream of the configuration file.
    pub fn untag(&self, body: &Value) -> Result<Self, ApiError> {
        let body = known_input(Operation::UntagDeliveryStream, body)?;
        self.check_changeable()?;
        let mut untagged = self.clone();
        for key in body["TagKeys"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            untagged.tags.remove(key);
        }
        Ok(untagged)
    }

    /// The answer of ListTagsForDeliveryStream: tags by key, all of them unless the request has a
    /// `Limit`.
    ///
    /// # Errors
    /// What `check` answers.
    pub fn list_tags(&self, body: &Value) -> Result<Value, ApiError> {
        let body = known_input(Operation::ListTagsForDeliveryStream, body)?;
        let limit = body["Limit"].as_u64().map_or(limits::TAGS_MAX, |limit| limit as usize);
        let after = match body["ExclusiveStartTagKey"].as_str() {
            Some(key) => Bound::Excluded(key),
            None => Bound::Unbounded,
        };
        let mut rest = self.tags.range::<str, _>((after, Bound::Unbounded));
        let page: Vec<Value> = rest.by_ref().take(limit).map(one_tag).collect();
        Ok(json!({"Tags": page, "HasMoreTags": rest.next().is_some()}))
    }
}

fn one_tag((key, value): (&String, &Option<String>)) -> Value {
    match value {
        Some(value) => json!({"Key": key, "Value": value}),
        None => json!({"Key": key}),
    }
}
