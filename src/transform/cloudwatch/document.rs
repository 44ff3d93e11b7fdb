//! Walks through the documents of a subscription and writes what is wanted of their events.
//!
//! CloudWatch Logs puts `logEvents` last, so that what comes before is known when they are met
//! and one pass is enough. Where it stands elsewhere it is stepped over and read at the end.

use super::{
    Member,
    cursor::{Cursor, Malformed},
    output::Output,
};

/// What is made of the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing: they are only looked at.
    Check,
    /// Their messages, each followed by a newline.
    Messages,
    /// An object each, with the message and these members, followed by a newline.
    Objects(Vec<Member>),
}

impl Mode {
    fn wants(&self, member: Member) -> bool {
        matches!(self, Self::Objects(members) if members.contains(&member))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    Control,
}

/// What stands around the events, as it is written.
#[derive(Default)]
struct Head<'a> {
    kind: Option<Kind>,
    owner: Option<&'a [u8]>,
    log_group: Option<&'a [u8]>,
    log_stream: Option<&'a [u8]>,
    /// As a list without white space, for that may contain newlines.
    filters: Option<Vec<u8>>,
}

impl Head<'_> {
    fn is_complete(&self, mode: &Mode) -> bool {
        let there = |member, is_there: bool| is_there || !mode.wants(member);
        self.kind.is_some()
            && there(Member::Owner, self.owner.is_some())
            && there(Member::LogGroup, self.log_group.is_some())
            && there(Member::LogStream, self.log_stream.is_some())
            && there(Member::SubscriptionFilters, self.filters.is_some())
    }
}

/// One log event, as it is written.
#[derive(Default)]
struct Event<'a> {
    message: Option<&'a [u8]>,
    id: Option<&'a [u8]>,
    timestamp: Option<&'a [u8]>,
}

/// Reads every document in `data`. What is written when one of them is wrong means nothing.
pub(super) fn read_all(data: &[u8], mode: &Mode, output: &mut Output) -> Result<(), Malformed> {
    let mut reader = Reader { cursor: Cursor::new(data), mode, output };
    if reader.cursor.peek().is_none() {
        return Err(Malformed::Empty);
    }
    while reader.cursor.peek().is_some() {
        reader.document()?;
    }
    Ok(())
}

struct Reader<'a, 'o> {
    cursor: Cursor<'a>,
    mode: &'o Mode,
    output: &'o mut Output,
}

impl<'a> Reader<'a, '_> {
    fn document(&mut self) -> Result<(), Malformed> {
        self.cursor.expect(b'{', "a CloudWatch Logs document")?;
        let mut head = Head::default();
        let (mut met, mut postponed) = (false, None);
        let mut first = true;
        while self.cursor.next_item(&mut first, b'}')? {
            match &*self.cursor.key()? {
                b"logEvents" => {
                    once(&mut met, "logEvents")?;
                    if head.is_complete(self.mode) {
                        self.events(&head)?;
                    } else {
                        postponed = Some(self.cursor.place());
                        self.cursor.skip_value()?;
                    }
                }
                key => self.head_member(key, &mut head)?,
            }
        }
        if head.kind.is_none() {
            return Err(Malformed::Missing("messageType"));
        }
        if !met {
            return Err(Malformed::Missing("logEvents"));
        }
        if let Some(place) = postponed {
            let end = self.cursor.place();
            self.cursor.go_to(place);
            self.events(&head)?;
            self.cursor.go_to(end);
        }
        Ok(())
    }

    /// Reads a member that stands beside the events.
    fn head_member(&mut self, key: &[u8], head: &mut Head<'a>) -> Result<(), Malformed> {
        match key {
            b"messageType" => {
                let kind = match self.cursor.string()? {
                    b"DATA_MESSAGE" => Kind::Data,
                    b"CONTROL_MESSAGE" => Kind::Control,
                    _ => return Err(Malformed::UnknownType),
                };
                set(&mut head.kind, kind, "messageType")
            }
            b"owner" => set(&mut head.owner, self.cursor.string()?, "owner"),
            b"logGroup" => set(&mut head.log_group, self.cursor.string()?, "logGroup"),
            b"logStream" => set(&mut head.log_stream, self.cursor.string()?, "logStream"),
            b"subscriptionFilters" if self.mode.wants(Member::SubscriptionFilters) => {
                let filters = self.filters()?;
                set(&mut head.filters, filters, "subscriptionFilters")
            }
            _ => self.cursor.skip_value(),
        }
    }

    fn filters(&mut self) -> Result<Vec<u8>, Malformed> {
        self.cursor.expect(b'[', "a list of subscription filters")?;
        let mut list = vec![b'['];
        let mut first = true;
        while self.cursor.next_item(&mut first, b']')? {
            if list.len() > 1 {
                list.push(b',');
            }
            list.push(b'"');
            list.extend_from_slice(self.cursor.string()?);
            list.push(b'"');
        }
        list.push(b']');
        Ok(list)
    }

    fn events(&mut self, head: &Head) -> Result<(), Malformed> {
        self.cursor.expect(b'[', "a list of log events")?;
        let is_data = head.kind == Some(Kind::Data);
        let mut first = true;
        while self.cursor.next_item(&mut first, b']')? {
            match self.mode {
                Mode::Messages if is_data => self.message()?,
                mode => {
                    let event = self.event()?;
                    if let (Mode::Objects(members), true) = (mode, is_data) {
                        self.object(members, &event, head)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes the message of an event straight from where it stands.
    fn message(&mut self) -> Result<(), Malformed> {
        self.cursor.expect(b'{', "a log event")?;
        let mut met = false;
        let mut first = true;
        while self.cursor.next_item(&mut first, b'}')? {
            if &*self.cursor.key()? == b"message" {
                once(&mut met, "message")?;
                self.cursor.decode_string(self.output)?;
                self.output.append(b"\n")?;
            } else {
                self.cursor.skip_value()?;
            }
        }
        if met { Ok(()) } else { Err(Malformed::Missing("message")) }
    }

    /// Finds the parts of an event.
    fn event(&mut self) -> Result<Event<'a>, Malformed> {
        self.cursor.expect(b'{', "a log event")?;
        let mut event = Event::default();
        let mut first = true;
        while self.cursor.next_item(&mut first, b'}')? {
            match &*self.cursor.key()? {
                b"message" => set(&mut event.message, self.cursor.string()?, "message")?,
                b"id" if self.mode.wants(Member::Id) => {
                    set(&mut event.id, self.cursor.string()?, "id")?;
                }
                b"timestamp" if self.mode.wants(Member::Timestamp) => {
                    set(&mut event.timestamp, self.cursor.integer()?, "timestamp")?;
                }
                _ => self.cursor.skip_value()?,
            }
        }
        if event.message.is_none() {
            return Err(Malformed::Missing("message"));
        }
        Ok(event)
    }

    /// Writes an event with what is wanted beside its message. Strings go over as they are written.
    fn object(&mut self, members: &[Member], event: &Event, head: &Head) -> Result<(), Malformed> {
        self.output.append(b"{\"message\":\"")?;
        self.output.append(event.message.ok_or(Malformed::Missing("message"))?)?;
        self.output.append(b"\"")?;
        for &member in members {
            let value = match member {
                Member::Id => event.id,
                Member::Timestamp => event.timestamp,
                Member::LogGroup => head.log_group,
                Member::LogStream => head.log_stream,
                Member::Owner => head.owner,
                Member::SubscriptionFilters => head.filters.as_deref(),
            };
            let value = value.ok_or(Malformed::Missing(member.name()))?;
            let is_string = !matches!(member, Member::Timestamp | Member::SubscriptionFilters);
            let quote: &[u8] = if is_string { b"\"" } else { b"" };
            for part in [b",\"", member.name().as_bytes(), b"\":", quote, value, quote] {
                self.output.append(part)?;
            }
        }
        self.output.append(b"}\n")
    }
}

/// Notes a member that must not come twice.
fn once(met: &mut bool, name: &'static str) -> Result<(), Malformed> {
    if std::mem::replace(met, true) { Err(Malformed::Twice(name)) } else { Ok(()) }
}

fn set<T>(slot: &mut Option<T>, value: T, name: &'static str) -> Result<(), Malformed> {
    if slot.replace(value).is_some() { Err(Malformed::Twice(name)) } else { Ok(()) }
}
