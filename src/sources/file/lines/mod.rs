//! The bytes of a followed file become records.
//!
//! ```text
//! bytes ─▶ lines ─▶ out of the runtime's wrapping ─▶ pieces joined ─▶ lines joined ─▶ record
//!          any        cri, docker_json: by stream      by stream       by stream
//! ```
//!
//! Nothing here reads or waits: bytes and times come from outside. The same bytes give the same
//! records however they are pushed, and from the [`Resume`] of any record on the same as before,
//! none of them twice. What depends on time alone is where the silence of a file ends a record of
//! several lines.
//!
//! | line | becomes |
//! |---|---|
//! | that ends with `\r\n` | a record without either |
//! | with nothing in it | nothing, unless it is within a record of several lines |
//! | longer than `max_line_size` | a record cut there, never within a character of UTF-8 |
//! | that does not keep to its format | a record as it stands, counted by [`Assembler::malformed`] |

mod decode;
mod kubernetes;
mod options;
mod partial;
mod plan;
mod resume;
mod text;

#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc, time::Duration};

pub use options::{Format, Kubernetes, Mode, Multiline, Options, Problem};
pub use plan::Plan;
pub use resume::{NoResume, Resume};

use decode::Wrapped;
use partial::Partial;
use plan::Part;
use resume::Stream;
use text::{Text, View};

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub data: Vec<u8>,
    /// Where its first byte stands.
    pub at: u64,
    /// Where its last line ends, the newline included.
    pub end: u64,
    /// Bytes that were cut off at the limit.
    pub cut_bytes: u64,
    /// Where reading may go on once it is stored: not beyond the first byte of what is pending.
    pub resume_at: u64,
    /// The same, exact where streams of a container are interleaved: to be stored with it.
    pub resume: Resume,
}

/// What is known of a record beside its bytes. See [`Line`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub at: u64,
    pub end: u64,
    pub cut_bytes: u64,
    pub resume: Resume,
}

/// Who takes the records. The bytes are lent: most of them lie in what was read.
pub trait Out {
    fn line(&mut self, data: &[u8], mark: &Mark);
}

impl Out for Vec<Line> {
    fn line(&mut self, data: &[u8], mark: &Mark) {
        let Mark { at, end, cut_bytes, resume } = *mark;
        let resume_at = resume.offset();
        self.push(Line { data: data.to_vec(), at, end, cut_bytes, resume_at, resume });
    }
}

/// What is put together of one stream.
#[derive(Debug, Default)]
struct Pending {
    /// A line of which the runtime has written only a part.
    pieces: Option<Text>,
    /// Lines that make one record.
    group: Option<Group>,
}

#[derive(Debug)]
struct Group {
    text: Text,
    lines: u32,
    /// When silence ends it.
    due: Duration,
}

impl Pending {
    /// Its first byte.
    fn first(&self) -> Option<u64> {
        let group = self.group.as_ref().map(|group| group.text.at);
        group.or_else(|| self.pieces.as_ref().map(|text| text.at))
    }
}

/// The records of one file.
#[derive(Debug)]
pub struct Assembler {
    plan: Arc<Plan>,
    /// What the records say of the container, as JSON.
    members: String,
    /// The offset behind the last byte that was pushed.
    next: u64,
    /// The offset behind the last line that was looked at.
    done: u64,
    /// A line of which the newline is still to come.
    partial: Partial,
    header_left: u32,
    /// Lines that begin before were given out by an earlier assembler.
    floor: Resume,
    streams: [Pending; 3],
    malformed: u64,
    scratch: Vec<u8>,
}

impl Assembler {
    /// Of a file that is read from anywhere. Options with problems are no error: what is wrong in
    /// them has no effect.
    pub fn new(options: &Options, path: &Path) -> Self {
        Self::resumed(&Arc::new(Plan::of_sound(options)), path, Resume::default())
    }

    /// Of a file that is read from `resume.offset()` on. Costs little: nothing is compiled.
    pub fn resumed(plan: &Arc<Plan>, path: &Path, resume: Resume) -> Self {
        let at = resume.offset();
        // Where it was stored in another format, a few lines twice are better than one too few.
        let floor = if plan.format == Format::Plain { Resume::at(at) } else { resume };
        Self {
            members: if plan.kubernetes { kubernetes::members(path) } else { String::new() },
            next: at,
            done: at,
            partial: Partial::new(plan.line_limit),
            header_left: if at == 0 { plan.header_lines } else { 0 },
            floor,
            streams: Default::default(),
            malformed: 0,
            scratch: Vec::new(),
            plan: plan.clone(),
        }
    }

    /// Bytes of the file that follow the last pushed ones; `at` is the offset of the first.
    /// Complete records go to `out`. `now` is monotonic.
    ///
    /// Bytes that do not follow begin a new part of the file: what was pending is dropped.
    pub fn push(&mut self, bytes: &[u8], at: u64, now: Duration, out: &mut impl Out) {
        if at != self.next {
            self.move_to(at);
        }
        self.next = at + bytes.len() as u64;
        let (mut bytes, mut at) = (bytes, at);
        if !self.partial.is_empty() {
            let Some(newline) = memchr::memchr(b'\n', bytes) else {
                return self.partial.add(bytes);
            };
            self.partial.add(&bytes[..newline]);
            bytes = &bytes[newline + 1..];
            at += newline as u64 + 1;
            self.end_partial(at, now, out);
        }
        let mut start = 0;
        for newline in memchr::memchr_iter(b'\n', bytes) {
            let (line, end) = (&bytes[start..newline], at + newline as u64 + 1);
            let kept = &line[..line.len().min(self.plan.line_limit)];
            let (text, cut) = partial::without_end(kept, line.len() as u64, line.last().copied());
            self.line(View::new(text, cut, at + start as u64, end), now, out);
            start = newline + 1;
        }
        if start < bytes.len() {
            self.partial.begin(at + start as u64);
            self.partial.add(&bytes[start..]);
        }
    }

    /// Gives out records of several lines whose timeout is over at `now`; with `end_of_file`
    /// everything that is left, the last line without its newline included.
    pub fn flush(&mut self, now: Duration, end_of_file: bool, out: &mut impl Out) {
        if self.header_left > 0 {
            // Nothing of the header is ever given out, and it may still grow.
            return;
        }
        if end_of_file && !self.partial.is_empty() {
            self.end_partial(self.next, now, out);
        }
        for stream in Stream::ALL {
            if end_of_file && let Some(text) = self.streams[stream as usize].pieces.take() {
                self.text(stream, text.view(), now, out);
            }
            let group = &mut self.streams[stream as usize].group;
            if let Some(group) = group.take_if(|group| end_of_file || group.due <= now) {
                self.give(stream, &group.text.view(), None, out);
            }
        }
    }

    /// When `flush` has something to do by the clock.
    pub fn due(&self) -> Option<Duration> {
        self.streams.iter().filter_map(|stream| Some(stream.group.as_ref()?.due)).min()
    }

    /// Where reading may go on after a restart: everything before has been given out. The first
    /// byte of what is pending.
    pub fn resume_at(&self) -> u64 {
        self.resume().offset()
    }

    /// The same, exact where streams are interleaved.
    pub fn resume(&self) -> Resume {
        self.resume_at_line(self.done, None)
    }

    /// Lines that did not keep to their format.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Bytes that are held of lines that are not complete.
    pub fn pending_bytes(&self) -> usize {
        let text = |text: &Option<Text>| text.as_ref().map_or(0, Text::held);
        let group = |group: &Option<Group>| group.as_ref().map_or(0, |group| group.text.held());
        let streams = self.streams.iter().map(|stream| text(&stream.pieces) + group(&stream.group));
        self.partial.held() + streams.sum::<usize>()
    }

    fn move_to(&mut self, at: u64) {
        self.done = at;
        self.floor = Resume::at(at);
        self.partial.clear();
        self.streams = Default::default();
        self.header_left = if at == 0 { self.plan.header_lines } else { 0 };
    }

    fn end_partial(&mut self, end: u64, now: Duration, out: &mut impl Out) {
        let mut partial = std::mem::take(&mut self.partial);
        let (text, cut) = partial.text();
        self.line(View::new(text, cut, partial.at, end), now, out);
        partial.clear();
        self.partial = partial;
    }

    /// A line as it stands in the file, without its end.
    fn line(&mut self, line: View, now: Duration, out: &mut impl Out) {
        if self.header_left > 0 {
            self.header_left -= 1;
            if self.header_left == 0 {
                self.done = line.end;
            }
            return;
        }
        self.done = line.end;
        let wrapped = match self.plan.format {
            Format::Plain => return self.text(Stream::Other, line, now, out),
            Format::Cri => decode::cri(line.text),
            Format::DockerJson => decode::docker_json(line.text),
        };
        match wrapped {
            Some(wrapped) => self.wrapped(&wrapped, &line, now, out),
            None => {
                self.malformed += 1;
                self.give(Stream::Other, &line, None, out);
            }
        }
    }

    /// What a runtime wrapped: a line, or a piece of one.
    fn wrapped(&mut self, wrapped: &Wrapped, line: &View, now: Duration, out: &mut impl Out) {
        let Wrapped { stream, goes_on, ref text, time } = *wrapped;
        if line.at < self.floor.from[stream as usize] {
            return;
        }
        let piece = View { text, time: Some(time), ..*line };
        let pieces = &mut self.streams[stream as usize].pieces;
        match (pieces.take(), goes_on) {
            (None, false) => self.text(stream, piece, now, out),
            (None, true) => *pieces = Some(Text::of(&piece, self.plan.limit)),
            (Some(mut joined), true) => {
                joined.append(&[], &piece, self.plan.limit);
                *pieces = Some(joined);
            }
            (Some(mut joined), false) => {
                joined.append(&[], &piece, self.plan.limit);
                self.text(stream, joined.view(), now, out);
            }
        }
    }

    /// A line that somebody wrote: a record, or a part of one.
    fn text(&mut self, stream: Stream, line: View, now: Duration, out: &mut impl Out) {
        let plan = self.plan.clone();
        let Some(rules) = &plan.rules else { return self.give(stream, &line, None, out) };
        let group = &mut self.streams[stream as usize].group;
        if let Some(mut open) = group.take() {
            let part = rules.part(line.text, open.lines, open.text.held());
            if part == Part::Not {
                self.give(stream, &open.text.view(), Some(line.at), out);
            } else {
                open.text.append(b"\n", &line, plan.limit);
                open.lines += 1;
                open.due = now + rules.timeout;
                match part {
                    Part::More => *group = Some(open),
                    _ => self.give(stream, &open.text.view(), None, out),
                }
                return;
            }
        }
        if rules.begins(line.text) {
            let text = Text::of(&line, plan.limit);
            let group = Group { text, lines: 1, due: now + rules.timeout };
            self.streams[stream as usize].group = Some(group);
        } else {
            self.give(stream, &line, None, out);
        }
    }

    /// Gives a record out. `next` is where its stream goes on, if a line of it is in the hand.
    fn give(&mut self, stream: Stream, record: &View, next: Option<u64>, out: &mut impl Out) {
        if record.at < self.floor.from[stream as usize] {
            return;
        }
        let (mut text, mut cut_bytes) = (record.text, record.cut);
        if text.is_empty() && cut_bytes == 0 {
            return;
        }
        if text.len() > self.plan.limit {
            cut_bytes += (text.len() - self.plan.limit) as u64;
            text = &text[..self.plan.limit];
        }
        if cut_bytes > 0 {
            let whole = text::whole_characters(text);
            cut_bytes += (text.len() - whole) as u64;
            text = &text[..whole];
        }
        let resume = self.resume_at_line(self.done, next.map(|next| (stream, next)));
        let mut mark = Mark { at: record.at, end: record.end, cut_bytes, resume };
        if !self.plan.kubernetes && !self.plan.keep_newline {
            return out.line(text, &mark);
        }
        self.scratch.clear();
        if self.plan.kubernetes {
            let (limit, scratch) = (self.plan.limit, &mut self.scratch);
            let time = record.time.as_ref();
            mark.cut_bytes +=
                kubernetes::record(text, stream.name(), time, &self.members, limit, scratch);
        } else {
            self.scratch.extend_from_slice(text);
        }
        if self.plan.keep_newline {
            self.scratch.push(b'\n');
        }
        out.line(&self.scratch, &mark);
    }

    /// How far each stream has been given out when the lines before `done` have been looked at. One
    /// stream may go on at a line that is looked at just now.
    fn resume_at_line(&self, done: u64, at_hand: Option<(Stream, u64)>) -> Resume {
        let mut resume = Resume::default();
        for stream in Stream::ALL {
            let at_hand = at_hand.filter(|(of, _)| *of == stream).map(|(_, at)| at);
            let index = stream as usize;
            let from = at_hand.or_else(|| self.streams[index].first()).unwrap_or(done);
            resume.from[index] = from.max(self.floor.from[index]);
        }
        resume
    }
}
