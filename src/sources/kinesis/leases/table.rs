//! The lease table in DynamoDB: protocol JSON 1.0, signed requests, conditional writes.
//!
//! Rows are changed by UpdateItem alone, so what others keep in them survives.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::time::{sleep, timeout};

use super::item::{self, Lease, Row};
use crate::{
    limits,
    net::{
        http::Answer,
        signed::{SignedClient, error_type, is_about_credentials},
    },
    sources::kinesis::Checkpoint,
};

/// Why the table did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TableError {
    /// The row is not as it was expected: somebody else changed it, or it is gone.
    #[error("the lease was changed by somebody else")]
    Outdated,
    /// The table may not be used.
    #[error("{0}")]
    Refused(String),
    /// It may or may not have been done.
    #[error("{code}: {message}")]
    Trouble { code: String, message: String },
}

/// What a lease's owner changes. Each raises the counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Renew,
    /// The children are known at a shard's end.
    Checkpoint {
        to: Checkpoint,
        children: Vec<String>,
    },
    /// Gives the lease back.
    Release,
}

/// A table of leases. Every write is conditional, and done by one at most of those who expect the
/// same counter.
#[async_trait]
pub(super) trait Table: Send + Sync {
    /// Makes the table if it is not there, and looks whether it may be used.
    async fn prepare(&self) -> Result<(), TableError>;
    /// All leases, each as it was at some moment of the scan.
    async fn scan(&self) -> Result<Vec<Lease>, TableError>;
    /// One lease, as it is now.
    async fn get(&self, key: &str) -> Result<Option<Lease>, TableError>;
    /// Creates a lease; `Outdated` if there is one.
    async fn create(&self, lease: &Lease) -> Result<(), TableError>;
    /// Makes `owner` the owner of the lease as it was seen.
    async fn take(&self, seen: &Lease, owner: &str) -> Result<(), TableError>;
    /// Changes a lease that has this owner and this counter.
    async fn change(
        &self,
        key: &str,
        owner: &str,
        counter: u64,
        change: &Change,
    ) -> Result<(), TableError>;
    /// Removes a lease that has this counter.
    async fn delete(&self, key: &str, counter: u64) -> Result<(), TableError>;
}

/// The real one.
pub(super) struct DynamoTable {
    client: SignedClient,
    name: String,
    call_timeout: Duration,
}

impl DynamoTable {
    pub fn new(client: SignedClient, name: &str, call_timeout: Duration) -> Self {
        Self { client, name: name.to_owned(), call_timeout }
    }

    /// Asks about this table.
    async fn ask(&self, action: &str, mut question: Value) -> Result<Value, TableError> {
        question["TableName"] = Value::from(&*self.name);
        self.ask_about(&self.name, action, &question).await
    }

    async fn ask_about(
        &self,
        table: &str,
        action: &str,
        question: &Value,
    ) -> Result<Value, TableError> {
        let headers = [
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", &*format!("DynamoDB_20120810.{action}")),
        ];
        let body = Bytes::from(question.to_string());
        let limit = limits::LEASE_ANSWER_BYTES_MAX;
        let sent = self.client.post("/", &headers, body, self.call_timeout, limit).await;
        let trouble = |code: &str, message: String| TableError::Trouble {
            code: code.to_owned(),
            message: format!("DynamoDB {action} of table {table}: {message}"),
        };
        match sent {
            Ok(answer) if answer.status.is_success() => serde_json::from_slice(&answer.body)
                .map_err(|error| trouble("LeaseTable.Unreadable", error.to_string())),
            Ok(answer) => {
                let name = error_type(&answer).unwrap_or_default();
                if name == "ConditionalCheckFailedException" {
                    return Err(TableError::Outdated);
                }
                Err(trouble(&name, refusal(&name, &answer)))
            }
            Err(error) => Err(trouble("LeaseTable.Unreachable", error.to_string())),
        }
    }

    /// The table's state, or nothing if there is no table.
    async fn status(&self) -> Result<Option<String>, TableError> {
        let table = match self.ask("DescribeTable", json!({})).await {
            Err(error) if is(&error, "ResourceNotFoundException") => return Ok(None),
            answer => answer?,
        };
        let keys = table["Table"]["KeySchema"].as_array();
        let is_ours = keys
            .is_some_and(|keys| matches!(&keys[..], [key] if key["AttributeName"] == item::KEY));
        if !is_ours {
            return Err(TableError::Refused(format!(
                "table {} is no lease table: its key is not `leaseKey`; give `leases.table` the \
                 name of another one, which is made if it is not there",
                self.name
            )));
        }
        Ok(Some(table["Table"]["TableStatus"].as_str().unwrap_or_default().to_owned()))
    }

    async fn make(&self) -> Result<(), TableError> {
        let table = json!({
            "AttributeDefinitions": [{"AttributeName": item::KEY, "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": item::KEY, "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
        });
        match self.ask("CreateTable", table).await {
            // Another replica was quicker.
            Err(error) if is(&error, "ResourceInUseException") => Ok(()),
            answer => answer.map(drop),
        }
    }

    async fn wait_until_active(&self) -> Result<(), TableError> {
        loop {
            match self.status().await?.as_deref() {
                // A table that is being changed can be used.
                Some("ACTIVE" | "UPDATING") => return Ok(()),
                None => self.make().await?,
                Some(_) => {}
            }
            sleep(limits::LEASE_TABLE_POLL).await;
        }
    }

    /// Whether 3.x of the library rules over the leases, by its row here or in the table where it
    /// keeps its state.
    async fn find_ruler(&self) -> Result<Option<String>, TableError> {
        let own = self.get_item(&self.name, item::key_of(item::MIGRATION)).await?;
        if let Some(version) = own.as_ref().and_then(item::ruler) {
            return Ok(Some(version));
        }
        let state = format!("{}-CoordinatorState", self.name);
        let key = json!({ "key": item::text(item::MIGRATION) });
        match self.get_item(&state, key).await {
            Ok(row) => Ok(row.as_ref().and_then(item::ruler)),
            Err(error) if is(&error, "ResourceNotFoundException") => Ok(None),
            // Policies of 2.x do not name that table.
            Err(error) if is(&error, "AccessDeniedException") => {
                tracing::debug!(table = state, "may not see whether KCL 3.x uses the lease table");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn get_item(&self, table: &str, key: Value) -> Result<Option<Value>, TableError> {
        let question = json!({ "TableName": table, "Key": key, "ConsistentRead": true });
        let mut answer = self.ask_about(table, "GetItem", &question).await?;
        let item = answer["Item"].take();
        Ok((!item.is_null()).then_some(item))
    }

    /// The lease that an item is, if it is one.
    fn understood(&self, item: &Value) -> Result<Option<Lease>, TableError> {
        match Row::read(item) {
            Ok(Row::Lease(lease)) => Ok(Some(*lease)),
            Ok(Row::Other) => Ok(None),
            Ok(Row::Ruled(version)) => Err(self.ruled(&version)),
            Ok(Row::ManyStreams) => Err(TableError::Refused(format!(
                "table {} holds the leases of an application that reads several streams; give \
                 `leases.table` the name of a table of this stream's own",
                self.name
            ))),
            Err(what) => Err(TableError::Refused(format!(
                "a row of table {} is no lease: {what}; mend or delete the row, or give \
                 `leases.table` the name of a table of this stream's own",
                self.name
            ))),
        }
    }

    fn ruled(&self, version: &str) -> TableError {
        TableError::Refused(format!(
            "table {} is in use by version 3 of the Kinesis Client Library ({version}), whose \
             leader gives out leases by itself: give `leases.table` another name; or, to take over \
             from that application, stop it, roll it back to 2.x with its migration tool (or \
             delete its row `Migration3.0`), and start again",
            self.name
        ))
    }

    async fn update(&self, key: &str, update: Update) -> Result<(), TableError> {
        self.ask("UpdateItem", update.question(key)).await.map(drop)
    }
}

#[async_trait]
impl Table for DynamoTable {
    async fn prepare(&self) -> Result<(), TableError> {
        match timeout(limits::LEASE_TABLE_WAIT, self.wait_until_active()).await {
            Ok(active) => active?,
            Err(_) => {
                return Err(TableError::Trouble {
                    code: "LeaseTable.NotActive".into(),
                    message: format!("table {} does not become ACTIVE", self.name),
                });
            }
        }
        match self.find_ruler().await? {
            Some(version) => Err(self.ruled(&version)),
            None => Ok(()),
        }
    }

    async fn scan(&self) -> Result<Vec<Lease>, TableError> {
        let mut leases = Vec::new();
        let mut question = json!({ "ConsistentRead": true });
        loop {
            let mut page = self.ask("Scan", question.clone()).await?;
            for item in page["Items"].as_array().into_iter().flatten() {
                leases.extend(self.understood(item)?);
            }
            if leases.len() > limits::LEASES_MAX {
                return Err(TableError::Refused(format!(
                    "table {} has more than {} leases; give `leases.table` the name of a table \
                     of this stream's own",
                    self.name,
                    limits::LEASES_MAX
                )));
            }
            match page["LastEvaluatedKey"].take() {
                Value::Null => return Ok(leases),
                last => question["ExclusiveStartKey"] = last,
            }
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Lease>, TableError> {
        let item = self.get_item(&self.name, item::key_of(key)).await?;
        item.map_or(Ok(None), |item| self.understood(&item))
    }

    async fn create(&self, lease: &Lease) -> Result<(), TableError> {
        let question = json!({
            "Item": lease.to_item(),
            "ConditionExpression": "attribute_not_exists(#key)",
            "ExpressionAttributeNames": {"#key": item::KEY},
        });
        self.ask("PutItem", question).await.map(drop)
    }

    async fn take(&self, seen: &Lease, owner: &str) -> Result<(), TableError> {
        let mut update = Update::of(seen.counter);
        update.set(item::OWNER, item::text(owner));
        update.remove(item::HANDING_OVER);
        if seen.owner.as_deref().is_some_and(|before| before != owner) {
            update.add(item::SWITCHES, item::number(1));
        }
        self.update(&seen.key, update).await
    }

    async fn change(
        &self,
        key: &str,
        owner: &str,
        counter: u64,
        change: &Change,
    ) -> Result<(), TableError> {
        let mut update = Update::of(counter);
        update.expect_owner(owner);
        match change {
            Change::Renew => {}
            Change::Checkpoint { to, children } => {
                for (name, value) in item::checkpoint(to) {
                    update.set(name, value);
                }
                update.set(item::SWITCHES, item::number(0));
                item::PENDING.iter().for_each(|name| update.remove(name));
                if !children.is_empty() {
                    update.set(item::CHILDREN, item::texts(children));
                }
            }
            Change::Release => update.remove(item::OWNER),
        }
        self.update(key, update).await
    }

    async fn delete(&self, key: &str, counter: u64) -> Result<(), TableError> {
        let question = json!({
            "Key": item::key_of(key),
            "ConditionExpression": "#counter = :counter",
            "ExpressionAttributeNames": {"#counter": item::COUNTER},
            "ExpressionAttributeValues": {":counter": item::number(counter)},
        });
        self.ask("DeleteItem", question).await.map(drop)
    }
}

/// An UpdateItem that raises the counter. Names are all written as placeholders: some attributes
/// might be words that expressions reserve.
struct Update {
    set: Vec<String>,
    remove: Vec<String>,
    add: Vec<String>,
    condition: String,
    names: Map<String, Value>,
    values: Map<String, Value>,
}

impl Update {
    /// Of the row with this counter.
    fn of(counter: u64) -> Self {
        let mut update = Self {
            set: Vec::new(),
            remove: Vec::new(),
            add: Vec::new(),
            condition: format!("#{} = :expected", item::COUNTER),
            names: Map::new(),
            values: Map::new(),
        };
        update.set(item::COUNTER, item::number(counter.saturating_add(1)));
        update.values.insert(":expected".into(), item::number(counter));
        update
    }

    /// A lease that 3.x is handing over is no longer its owner's.
    fn expect_owner(&mut self, owner: &str) {
        let (mine, handing_over) = (self.name(item::OWNER), self.name(item::HANDING_OVER));
        self.condition += &format!(" AND {mine} = :mine AND attribute_not_exists({handing_over})");
        self.values.insert(":mine".into(), item::text(owner));
    }

    fn set(&mut self, name: &str, value: Value) {
        let place = self.name(name);
        self.set.push(format!("{place} = :{name}"));
        self.values.insert(format!(":{name}"), value);
    }

    fn add(&mut self, name: &str, value: Value) {
        let place = self.name(name);
        self.add.push(format!("{place} :{name}"));
        self.values.insert(format!(":{name}"), value);
    }

    fn remove(&mut self, name: &str) {
        let place = self.name(name);
        self.remove.push(place);
    }

    fn name(&mut self, name: &str) -> String {
        let place = format!("#{name}");
        self.names.insert(place.clone(), name.into());
        place
    }

    fn question(self, key: &str) -> Value {
        let parts = [("SET", self.set), ("REMOVE", self.remove), ("ADD", self.add)];
        let parts = parts.into_iter().filter(|(_, part)| !part.is_empty());
        let expression: Vec<_> =
            parts.map(|(verb, part)| format!("{verb} {}", part.join(", "))).collect();
        json!({
            "Key": item::key_of(key),
            "UpdateExpression": expression.join(" "),
            "ConditionExpression": self.condition,
            "ExpressionAttributeNames": self.names,
            "ExpressionAttributeValues": self.values,
        })
    }
}

fn is(error: &TableError, name: &str) -> bool {
    matches!(error, TableError::Trouble { code, .. } if code == name)
}

/// What DynamoDB said, and what helps.
fn refusal(name: &str, answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let said = ["message", "Message"].iter().find_map(|key| body.get(key)?.as_str());
    let said: String = said.unwrap_or_default().chars().take(limits::MESSAGE_CHARS_MAX).collect();
    let help = if name == "AccessDeniedException" {
        "; allow DescribeTable, CreateTable, Scan, GetItem, PutItem, UpdateItem and DeleteItem"
    } else if is_about_credentials(name) {
        "; look at the credentials of the `aws` section"
    } else {
        ""
    };
    format!("{name} (status {}): {said}{help}", answer.status.as_u16())
}
