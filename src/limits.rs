//! Every bound and default, with its unit and its reason. Relations are asserted at compile time.

use std::time::Duration;

pub const KIB: u64 = 1024;
pub const MIB: u64 = 1024 * KIB;
pub const GIB: u64 = 1024 * MIB;

// ---------------------------------------------------------------- Firehose API (quotas, API reference)

/// Largest record before base64: 1,000 KiB (PutRecord API reference).
pub const RECORD_BYTES_MAX: usize = 1_024_000;
/// Most records in a PutRecordBatch (API reference).
pub const BATCH_RECORDS_MAX: usize = 500;
/// Most decoded bytes in a PutRecordBatch: 4 MiB. Agents fill it before base64.
pub const BATCH_BYTES_MAX: usize = 4 * MIB as usize;
/// Largest request body: 4 MiB in base64 is 5.34 MiB; the JSON around 500 records, white space
/// included, fits in the rest. A larger body is refused before it is read.
pub const BODY_BYTES_MAX: usize = 7 * MIB as usize;
/// Largest body of an operation other than the puts: no configuration comes near it.
pub const CONTROL_BODY_BYTES_MAX: usize = MIB as usize;
/// Request bodies being received and decoded at one time, all connections together. More
/// requests wait (their clients see latency, and an error only after `BODY_WAIT_MAX`); a larger
/// value costs memory only.
pub const BODIES_IN_MEMORY_BYTES: usize = 64 * MIB as usize;
/// The part of that memory that bodies under one access key may hold before they have arrived.
/// Nothing is proven until then: whoever knows a key's id could otherwise hold all of it.
pub const BODIES_OF_ONE_KEY_DIVISOR: usize = 2;
/// The same for the bodies of one peer. Less than a key's, so that one stranger cannot hold what
/// the true owner of the key needs; behind a proxy all clients are one peer.
pub const BODIES_OF_ONE_PEER_DIVISOR: usize = 4;
/// Longest wait for that memory; then the request is answered "Slow down." and its client tries
/// again later. Longer than a body may be silent while others wait, shorter than the least patient
/// clients' timeouts.
pub const BODY_WAIT_MAX: Duration = Duration::from_secs(10);
/// Time to send the request head, and the pause allowed between two pieces of a body. Long
/// enough for a bad mobile link, short enough that idle openers go away.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// A body must keep this pace on average after the first seconds, or the connection is cut: a
/// client that sends a byte a second would otherwise hold its memory for weeks.
pub const BODY_BYTES_PER_S_MIN: u64 = KIB;
/// Time a body may take before the pace is looked at.
pub const BODY_GRACE: Duration = Duration::from_secs(10);
/// The same while other requests wait for memory that this body holds.
pub const BODY_GRACE_CROWDED: Duration = Duration::from_secs(1);
/// The pace while other requests wait for `BODIES_IN_MEMORY_BYTES`: a dozen slow clients must not
/// hold all of it. An honest mobile link does more.
pub const BODY_BYTES_PER_S_CROWDED: u64 = 64 * KIB;
/// What is read and thrown away of a body that was refused unread, so that the client gets to
/// read the answer instead of a reset. Above it the connection is cut.
pub const DRAIN_BYTES_MAX: u64 = 64 * MIB;
/// A request's head in HTTP/2. Presigned requests with session tokens stay below 16 KiB.
pub const HEAD_BYTES_MAX: usize = 64 * KIB as usize;
/// What an HTTP/1 connection reads at once, and so the longest head, too. A connection grows up to
/// it while its reads come back full. Less means more system calls, eight for a body of 1 MB as it
/// stands; more showed no gain in CPU and is memory that strangers can fill.
pub const HTTP1_READ_BYTES_MAX: usize = 128 * KIB as usize;
/// Time for a TLS handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// An HTTP/2 connection without a request under way is closed after it. HTTP/1 connections are
/// closed after `HEADER_TIMEOUT`.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a connection that is being closed may still take to read its last answer.
pub const LINGER: Duration = Duration::from_secs(2);
/// Requests under way at a time on one HTTP/2 connection.
pub const HTTP2_STREAMS_MAX: u32 = 64;
/// What an HTTP/2 client may send before it is read, per connection: with `CONNECTIONS_MAX` the
/// memory that strangers can fill. Less slows down a distant client.
pub const HTTP2_WINDOW_BYTES: u32 = 256 * KIB as u32;
/// An HTTP/2 client that does not answer a ping within the same time is gone.
pub const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);
/// How often files with keys and certificates are looked at for a change.
pub const FILES_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Open connections. One costs a few tens of KiB.
pub const CONNECTIONS_MAX: usize = 4096;
/// Difference allowed between the signature's time and ours, both ways (live AWS error texts).
pub const CLOCK_SKEW: Duration = Duration::from_secs(15 * 60);
/// Streams made through the API (the newer regional quota of Firehose is 5,000).
pub const STREAMS_MAX: usize = 5000;
/// Longest name of a stream (CreateDeliveryStream API reference).
pub const NAME_CHARS_MAX: usize = 64;
/// Tags on a stream (API reference).
pub const TAGS_MAX: usize = 50;
/// Violations named in one ValidationException; more of a list's elements are not looked at. A
/// body full of empty objects would otherwise be answered with tens of megabytes.
pub const VIOLATIONS_MAX: usize = 1000;
/// StartDeliveryStreamEncryption and StopDeliveryStreamEncryption of one stream together (API
/// reference).
pub const ENCRYPTION_CALLS_PER_DAY: usize = 25;

// -------------------------------------------------------------------------------------- sources

/// Largest body of posted records, unless the user says otherwise.
pub const HTTP_BODY_BYTES_DEFAULT: usize = 16 * MIB as usize;
/// Largest body of posted records at all: a Firehose request has up to 64 MiB before compression.
pub const HTTP_BODY_BYTES_MAX: usize = 64 * MIB as usize;
/// Bodies that one listener of sources receives at a time, as `BODIES_IN_MEMORY_BYTES` for the API:
/// twice as much, for their bodies are larger, and only credentials of ours begin one.
pub const HTTP_BODIES_IN_MEMORY_BYTES: usize = 2 * BODIES_IN_MEMORY_BYTES;
/// Records of one request, as they are put: their bytes and 4 for each. Of an envelope each record
/// has what the request says of all.
pub const HTTP_RECORDS_BYTES_MAX: usize = 128 * MIB as usize;
/// Documents of OTLP requests under way at a time, for each stream: parsed and not stored yet.
pub const OTLP_UNDER_WAY_MIB: usize = 256;
/// Bodies of one listener that are being unpacked, or are unpacked and not yet stored. More
/// requests wait; one body of the largest size must fit.
pub const HTTP_UNPACKED_BYTES: usize = 128 * MIB as usize;
/// Most records in one put of posted ones: four bytes of length each stay small beside 4 MiB of
/// records, also where those are tiny.
pub const HTTP_PART_RECORDS_MAX: usize = 65_536;
/// Deepest nesting of a posted JSON document: what serde_json reads, and so every transform.
pub const HTTP_JSON_DEPTH_MAX: usize = 128;
/// Longest `Idempotency-Key`, in bytes: enough for a digest of anything.
pub const HTTP_KEY_BYTES_MAX: usize = 256;
/// Largest window that a zstd body may ask for, as a power of two: 8 MiB (RFC 9659).
pub const HTTP_ZSTD_WINDOW_LOG: u32 = 23;
/// Most records in a request of Firehose's (HTTP endpoint delivery specification).
pub const HTTP_FIREHOSE_RECORDS_MAX: usize = 10_000;
/// How long a path that has left a listener is answered "try again later" instead of "not found":
/// a stream that is configured anew comes back within it.
pub const HTTP_DEPARTED_FOR: Duration = Duration::from_secs(60);
/// First wait before an address is tried again that could not be listened on; doubled with each.
pub const HTTP_BIND_WAIT_MIN: Duration = Duration::from_millis(100);
/// Longest such wait.
pub const HTTP_BIND_WAIT_MAX: Duration = Duration::from_secs(10);

/// Deepest nesting of values in an OpenTelemetry log record: deeper ones are rejected. Nobody logs
/// so, and each level costs stack.
pub const OTLP_DEPTH_MAX: usize = 64;
/// Bytes of JSON that one OpenTelemetry request may become. Resource and scope are repeated in each
/// record, so a small request could fill any memory; an exporter's batch of 8,192 becomes 16 MiB.
pub const OTLP_DOCUMENTS_BYTES_MAX: usize = 64 * MIB as usize;
/// Channels of an event collector with acknowledgement whose ids are kept, the most recently used
/// (Splunk: 1,000,000). A shipper has one for each of its workers.
pub const HEC_CHANNELS_MAX: usize = 10_000;
/// Runs of ids of one channel that were not asked for, the newest. Ids lie in one run unless a
/// client asks for some and never for others.
pub const HEC_ACK_RANGES_MAX: usize = 64;
/// Ids that may be asked for at once: as many as Splunk keeps of one channel.
pub const HEC_ACKS_ASKED_MAX: usize = 1_000_000;

/// First wait of a pull source for a full journal; doubled with each.
pub const SOURCE_FULL_WAIT_MIN: Duration = Duration::from_millis(100);
/// Longest wait of a pull source for a full journal.
pub const SOURCE_FULL_WAIT_MAX: Duration = Duration::from_secs(2);
/// Time between two GetRecords of a shard that is caught up (Firehose's own; guide, "Kinesis Data
/// Streams").
pub const KINESIS_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// What the records of an aggregate of the Kinesis Producer Library may take in memory, their data
/// aside. One of 1 MiB, as producers make them, stays below it even with nothing in its records.
pub const KPL_UNPACKED_BYTES_MAX: usize = 64 * MIB as usize;
/// Time between two calls of SubscribeToShard for a shard (API reference: one a second).
pub const FAN_OUT_CALL_INTERVAL: Duration = Duration::from_secs(1);
/// Time from a subscription that was granted to the next call, which is refused before (same page).
pub const FAN_OUT_GRANT_INTERVAL: Duration = Duration::from_secs(5);
/// A subscription that says nothing for so long is made anew. The service sends an event every few
/// seconds, if only to say that there is none.
pub const FAN_OUT_SILENCE_MAX: Duration = Duration::from_secs(40);
/// Largest event of a subscription: 10 MiB of records are 13.4 MiB in base64, and each of up to
/// 10,000 of them comes with a few hundred bytes beside. More is damage.
pub const FAN_OUT_EVENT_BYTES_MAX: usize = 24 * MIB as usize;
/// One question about a consumer, and the head of a subscription.
pub const FAN_OUT_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer to such a question, and largest refusal.
pub const FAN_OUT_ANSWER_BYTES_MAX: usize = 64 * KIB as usize;
/// Time between two looks at a consumer that is being made, and how long they go on.
pub const FAN_OUT_CONSUMER_POLL: Duration = Duration::from_secs(1);
pub const FAN_OUT_CONSUMER_WAIT: Duration = Duration::from_secs(120);
/// Longest name of a consumer (API reference, RegisterStreamConsumer).
pub const FAN_OUT_CONSUMER_CHARS_MAX: usize = 128;
/// Least time between two GetRecords of a shard: five calls a second are all readers' together
/// (API reference, GetRecords).
pub const KINESIS_CALL_INTERVAL: Duration = Duration::from_millis(200);
/// What a shard gives in a second to all of its readers that share (same page). A reader that took
/// more in one call waits before the next, or is throttled.
pub const KINESIS_SHARD_BYTES_PER_SECOND: u64 = 2 * MIB;
/// Largest answer of GetRecords: 10 MiB of data, 13.4 in base64, and 10,000 records with a
/// partition key of 256 characters and some 250 bytes of other members each (same page).
pub const KINESIS_ANSWER_BYTES_MAX: usize = 24 * MIB as usize;
/// One call of Kinesis. An answer of 10 MiB takes its time on a slow line.
pub const KINESIS_TIMEOUT: Duration = Duration::from_secs(30);
/// What the answers of one source may take while they are on their way or waiting for the journal.
/// A shard that is caught up takes next to nothing of it.
pub const KINESIS_READ_AHEAD_BYTES: usize = 128 * MIB as usize;
/// Data of one put, partition keys and sequence numbers included. Larger ones make the journal's
/// frames coarse, smaller ones cost an append each.
pub const KINESIS_PUT_BYTES: usize = MIB as usize;
/// Pages of ListShards that are read: up to 10,000 shards each (API reference). More are a circle.
pub const KINESIS_PAGES_MAX: usize = 1000;
/// How often the shards are listed without an occasion (shardSyncIntervalMillis of the Kinesis
/// Client Library).
pub const KINESIS_LIST_INTERVAL: Duration = Duration::from_secs(60);
/// The same while a shard that was announced is not listed yet, and how often that is tried.
pub const KINESIS_RELIST_INTERVAL: Duration = Duration::from_secs(2);
pub const KINESIS_RELISTS: u32 = 30;
/// How often what is safe is told to the coordinator. A replica that takes over reads again what
/// was read since.
pub const KINESIS_CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);
/// Checkpoints under way at a time.
pub const KINESIS_CHECKPOINTS_IN_FLIGHT: usize = 16;
/// How long the last checkpoints may take when the source is stopped.
pub const KINESIS_LAST_CHECKPOINTS: Duration = Duration::from_secs(10);
/// First wait after a failed call, and the longest after throttling, after passing trouble, and
/// after a refusal that somebody has to mend.
pub const KINESIS_BACKOFF: Duration = Duration::from_millis(500);
pub const KINESIS_BACKOFF_THROTTLED_MAX: Duration = Duration::from_secs(5);
pub const KINESIS_BACKOFF_TROUBLE_MAX: Duration = Duration::from_secs(30);
pub const KINESIS_BACKOFF_DENIED_MAX: Duration = Duration::from_secs(60);
/// How often the same trouble is told in the log: a thousand shards have it at a time.
pub const KINESIS_TROUBLE_LOG_INTERVAL: Duration = Duration::from_secs(30);
/// How often it is told that reading is about to lose records to the stream's retention.
pub const KINESIS_BEHIND_LOG_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// A lease that was not renewed for so long may be taken (failoverTimeMillis of the Kinesis Client
/// Library).
pub const LEASE_FAILOVER: Duration = Duration::from_secs(10);
/// Shortest failover: below it a pause of the network would move every lease.
pub const LEASE_FAILOVER_MIN: Duration = Duration::from_secs(1);
/// Longest failover: shards of a replica that died stand still for so long.
pub const LEASE_FAILOVER_MAX: Duration = Duration::from_secs(10 * 60);
/// Renewals are early, and leases are let go early, by this much (epsilonMillis of the Kinesis
/// Client Library).
pub const LEASE_EPSILON: Duration = Duration::from_millis(25);
/// How often the table is looked through for leases that nobody renews: one that died is noticed
/// so much later than its failover time, twice at the most.
pub const LEASE_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// One call of the lease table; less where the failover is short.
pub const LEASE_CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Calls of the lease table at a time (maxLeaseRenewalThreads of the Kinesis Client Library: 20).
pub const LEASE_CALLS_AT_ONCE: usize = 20;
/// Largest answer of the lease table: a page of Scan is 1 MiB of items, in JSON some times that.
pub const LEASE_ANSWER_BYTES_MAX: usize = 8 * MIB as usize;
/// Most rows of a lease table. Streams have up to some 20,000 shards; more rows are somebody's
/// mistake and would fill the memory.
pub const LEASES_MAX: usize = 100_000;
/// Between two looks at a lease table that is being made.
pub const LEASE_TABLE_POLL: Duration = Duration::from_secs(1);
/// How long a lease table may take to be made.
pub const LEASE_TABLE_WAIT: Duration = Duration::from_secs(120);
/// Positions of a replica that is alone are written to its file at most so often: each write is an
/// fsync or two, and what is lost is read again.
pub const POSITIONS_WRITE_INTERVAL: Duration = Duration::from_secs(1);
/// A member of a consumer group is given up after so long (librdkafka's session.timeout.ms).
pub const KAFKA_SESSION_TIMEOUT: Duration = Duration::from_secs(45);
/// Partitions of a topic that is made for a journal.
pub const KAFKA_JOURNAL_PARTITIONS: i32 = 12;
/// How long brokers may take to confirm a record of a journal: well below the timeouts of SDKs.
pub const KAFKA_ACK_TIMEOUT: Duration = Duration::from_secs(15);
/// A replica that delivers from a journal is given up after so long: its records wait meanwhile.
pub const KAFKA_JOURNAL_SESSION_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of records that may wait for the brokers' confirmation, for each stream.
pub const KAFKA_JOURNAL_PRODUCED_BYTES: u64 = 64 * MIB;
/// Bytes of records fetched and not read yet, for each partition that is delivered.
pub const KAFKA_LANE_BYTES: usize = 4 * MIB as usize;
/// Bytes that librdkafka may fetch ahead for one destination, over all partitions.
pub const KAFKA_FETCHED_KIB: u64 = 16 * 1024;
/// Room for plans of shipments in the metadata of a committed offset (brokers take 4,096 bytes:
/// offset.metadata.max.bytes), less our own words.
pub const KAFKA_PLANS_BYTES_MAX: usize = 3900;
/// How long a request to the brokers that is not on the way of records may take.
pub const KAFKA_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a partition that is given up is held for a commit that is under way.
pub const KAFKA_COMMIT_WAIT: Duration = Duration::from_secs(2);
/// Partitions that came or went and were not heard of yet, for each destination.
pub const KAFKA_JOURNAL_EVENTS: usize = 1024;
/// Records that are fetched ahead for a partition whose delivery is behind what is in memory
/// (queued.max.messages.kbytes).
pub const KAFKA_BEHIND_KIB: u64 = 2 * KIB;
/// What the topic of a journal must take as one message (max.message.bytes): the largest record
/// with what Kafka puts around it. The brokers' default, 1,048,588 bytes, is enough.
pub const KAFKA_JOURNAL_MESSAGE_BYTES: u64 = RECORD_BYTES_MAX as u64 + 16 * KIB;
/// Between two tries to put the rest of a put into a full queue.
pub const KAFKA_QUEUE_WAIT: Duration = Duration::from_millis(5);
/// Between two tries to make a producer in place of one that has failed for good.
pub const KAFKA_MEND_INTERVAL: Duration = Duration::from_secs(1);
/// Longest answer of the API of MSK that is read.
pub const MSK_ANSWER_BYTES_MAX: usize = 64 * KIB as usize;
/// Largest record taken from Kafka (Firehose's for MSK: 10 MB).
pub const KAFKA_RECORD_BYTES_DEFAULT: u64 = 10 * MIB;
/// Bounds of the session timeout: below it a short stall of the network moves partitions, above it
/// brokers refuse (group.max.session.timeout.ms, 30 minutes).
pub const KAFKA_SESSION_TIMEOUT_MIN: Duration = Duration::from_secs(1);
pub const KAFKA_SESSION_TIMEOUT_MAX: Duration = Duration::from_secs(30 * 60);
/// A put of Kafka records is closed at this size. Smaller ones cost a frame each, larger ones
/// memory for each partition.
pub const KAFKA_PUT_BYTES: usize = 512 * KIB as usize;
/// How long records are gathered for a put when few come: the latency that is paid for fewer frames.
pub const KAFKA_GATHER_WAIT: Duration = Duration::from_millis(10);
/// Records that are gathered, or wait for the journal, over all partitions. When they are more,
/// no more are taken.
pub const KAFKA_WAITING_BYTES: usize = 8 * MIB as usize;
/// Records that librdkafka fetches ahead, over all partitions (queued.max.messages.kbytes).
pub const KAFKA_QUEUED_KBYTES: u64 = 8 * KIB;
/// One answer of a broker (fetch.max.bytes), and each partition's part of it
/// (max.partition.fetch.bytes). Compressed batches unpack to a multiple.
pub const KAFKA_FETCH_BYTES: u64 = 4 * MIB;
pub const KAFKA_PARTITION_FETCH_BYTES: u64 = MIB;
/// How soon a full queue is looked at again (fetch.queue.backoff.ms). librdkafka's second would
/// let a queue this small run dry.
pub const KAFKA_FETCH_BACKOFF: Duration = Duration::from_millis(10);
/// How long a full journal is waited for without asking for news of the group. Then partitions are
/// paused, which costs what was fetched ahead.
pub const KAFKA_STALL: Duration = Duration::from_secs(1);
/// Longest wait for records: how soon a stop or an answer is seen.
pub const KAFKA_POLL_WAIT: Duration = Duration::from_millis(100);
/// How often offsets are committed.
pub const KAFKA_COMMIT_INTERVAL: Duration = Duration::from_secs(2);
/// How often new topics and partitions are looked for (topic.metadata.refresh.interval.ms).
pub const KAFKA_METADATA_INTERVAL: Duration = Duration::from_secs(10);
/// How often the lag is measured.
pub const KAFKA_STATISTICS_INTERVAL: Duration = Duration::from_secs(10);
/// Heartbeats of a member (heartbeat.interval.ms), or a third of a shorter session.
pub const KAFKA_HEARTBEAT: Duration = Duration::from_secs(3);
/// A member that takes nothing for so long leaves the group (max.poll.interval.ms).
pub const KAFKA_POLL_INTERVAL_MAX: Duration = Duration::from_secs(300);
/// One question to the brokers for offsets or topics.
pub const KAFKA_QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// First and longest wait after a question that was not answered, or a client that cannot be made.
pub const KAFKA_RETRY_MIN: Duration = Duration::from_millis(500);
pub const KAFKA_RETRY_MAX: Duration = Duration::from_secs(30);
/// How often secrets are read again while brokers refuse us.
pub const KAFKA_SECRETS_INTERVAL: Duration = Duration::from_secs(5);
/// How often a partition is tried again that is held by a record too large for the journal.
pub const KAFKA_HELD_RETRY: Duration = Duration::from_secs(60);
/// How long a stop waits for puts under way, and then for the last commit and the farewell.
pub const KAFKA_STOP_WAIT: Duration = Duration::from_secs(10);
/// Room in a frame for what stands beside a Kafka record: its lengths, its place, its step.
pub const KAFKA_FRAME_ROOM: usize = 64 * KIB as usize;
/// How long a signature for MSK is good (the service's own limit), and what is told of it: a token
/// is renewed while it is still good on a clock that is some minutes off.
pub const MSK_TOKEN_LIFE: Duration = Duration::from_secs(900);
pub const MSK_TOKEN_TOLD: Duration = Duration::from_secs(540);
/// One question for a token.
pub const KAFKA_TOKEN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client waits for its first token before it asks anew.
pub const KAFKA_TOKEN_WAIT: Duration = Duration::from_secs(5);
/// Largest answer of an OpenID provider.
pub const KAFKA_TOKEN_BYTES_MAX: usize = 256 * KIB as usize;
/// What is read of a file at a time, and put at once: more would let one file keep others waiting,
/// less costs a put for each, and a put waits for the disk.
pub const FILE_READ_BYTES: usize = MIB as usize;
/// Files that are read at a time; with the put of each, eight times the above are in memory.
pub const FILE_READS_AT_ONCE: usize = 8;
/// How often folders and files are looked at where the kernel tells of changes in between.
pub const FILE_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The same where it does not (inotify is used up, or missing).
pub const FILE_LOOK_INTERVAL_BLIND: Duration = Duration::from_millis(250);
/// Rest between two hints of the kernel: a file that is written to a thousand times a second is
/// not read a thousand times.
pub const FILE_HINT_REST: Duration = Duration::from_millis(50);
/// A folder whose time has not changed is listed again after so long all the same: network
/// filesystems answer from a cache.
pub const FILE_RELIST_INTERVAL: Duration = Duration::from_secs(10);
/// A compressed file, or what may be a copy in the making, is taken as whole when it has not
/// changed for so long.
pub const FILE_QUIET: Duration = Duration::from_secs(5);
/// A file that cannot be opened or read is tried again after so long.
pub const FILE_RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// How long a file that was renamed away or deleted is held after it last grew (Fluent Bit's
/// rotate_wait is 5 s, which writers that are told late outlive).
pub const FILE_ROTATE_WAIT: Duration = Duration::from_secs(30);
/// A last line without its newline is given out after so long.
pub const FILE_LAST_LINE_TIMEOUT: Duration = Duration::from_secs(60);
/// Files held open. Half of what the process may open is never exceeded.
pub const FILES_OPEN_DEFAULT: u32 = 4096;
/// Positions kept of files that are gone, to know their compressed copies by.
pub const FILES_REMEMBERED: usize = 1_000;
/// How long a file is gone before its position may be forgotten: a folder that is away for a while,
/// as one that is mounted anew, is not read from its beginning for it.
pub const FILE_FORGET_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// Files that patterns may match; what is above is not read, and said.
pub const FILES_MAX: usize = 100_000;
/// Folders that one look goes down into at the most, and how deep.
pub const FILE_FOLDERS_MAX: usize = 20_000;
pub const FILE_DEPTH_MAX: usize = 64;
/// Patterns after `{a,b}` is written out.
pub const FILE_PATTERNS_MAX: usize = 1_000;
/// A file is known by so many of its first bytes at the most ...
pub const FILE_HEAD_BYTES: usize = KIB as usize;
/// ... and by so many before the place where reading goes on.
pub const FILE_WINDOW_BYTES: usize = 256;

// -------------------------------------------------------------------------------------- journal

/// Size of a segment file. Space is reclaimed in whole segments, so larger ones hold back more
/// disk; smaller ones mean more files and directory syncs.
pub const SEGMENT_BYTES: u64 = 64 * MIB;
/// Largest frame: a full batch with its lengths and header, or one record of a source whose records
/// may be larger than what can be delivered (they go whole to the error output). A length above it
/// is damage, not data.
pub const FRAME_BYTES_MAX: usize = 32 * MIB as usize;
/// Smallest limit of a journal in memory: a put of the API must fit.
pub const JOURNAL_MEMORY_BYTES_MIN: u64 = 8 * MIB;
/// Default disk limit of a stream's journal.
pub const JOURNAL_BYTES_DEFAULT: u64 = 10 * GIB;
/// Smallest disk limit: two segments, or nothing could ever be reclaimed.
pub const JOURNAL_BYTES_MIN: u64 = 2 * SEGMENT_BYTES;
/// Bytes of puts that may wait for the group commit. More callers wait outside.
pub const APPEND_QUEUE_BYTES: usize = 32 * MIB as usize;
/// Most bytes that one group commit writes before it syncs: bounds the latency of the first.
pub const GROUP_COMMIT_BYTES: usize = 16 * MIB as usize;
/// Calls remembered to recognise a retried one, per stream. SDKs retry within seconds; at 5,000
/// calls a second this is 13 s, at ordinary rates hours.
pub const CALLS_REMEMBERED: usize = 65_536;
/// How much of the journal's tail is read again at start to fill that window, and so is kept on
/// disk (half of the stream's limit at the most) although it is delivered: an SDK's last attempt
/// comes some 3 s after its first, and at 170 MB/s that is so much. More would make the start
/// slower and cost disk.
pub const CALLS_TAIL_BYTES: u64 = 8 * SEGMENT_BYTES;
/// Disk space is reserved for a segment in steps of this and four times as much each, up to the
/// segment's size. Smaller first steps mean more calls for a busy stream; larger ones that
/// thousands of streams with little to store take up a disk.
pub const RESERVE_FIRST_BYTES: u64 = MIB;

/// The journal's pages of delivered records are given back to the kernel in pieces of this size: few
/// calls, and memory that the processor's cache still holds.
pub const FORGET_BYTES: u64 = 4 * MIB;
/// A group commit from this size on shows bulk load: the writer then lets more puts gather before
/// the next one. A single small put stays far below and never waits.
pub const GATHER_AFTER_BYTES: u64 = 64 * KIB;
/// With so much in line the writer gathers no longer: larger groups save hardly any more syncs.
pub const GATHER_BYTES: usize = MIB as usize;
/// Longest such pause. It is never longer than the last sync took, so it costs at most what it
/// saves; a disk whose syncs take longer gathers enough by itself.
pub const GATHER_MAX: Duration = Duration::from_micros(500);
/// How often a stream says that it cannot begin a segment: every put meets the same trouble.
pub const REFUSAL_LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Disk space that is left alone: the daemon's small files must still be written when a stream
/// has filled the disk.
pub const DISK_RESERVE_BYTES: u64 = 32 * MIB;

// ----------------------------------------------------------------------------------- transforms

/// What may come out of one record: of unpacking it, and of writing its log events as lines. Logs
/// shrink to a tenth or a twentieth, so an honest record stays below 20 MB; more would let one
/// record of a few KB fill the memory.
pub const UNPACKED_BYTES_MAX: usize = 64 * MIB as usize;
/// Most records in one record; one with more is not taken apart (Firehose guide, "Deaggregation").
pub const SUB_RECORDS_MAX: usize = 500;
/// What transforms write new records into, to be used again. A record holds its whole chunk, so
/// larger ones hold more memory; smaller ones have more waste at their ends.
pub const ARENA_CHUNK_BYTES: usize = MIB as usize;
/// How many are kept: what a read of the journal becomes when it is unpacked.
pub const ARENA_CHUNKS_KEPT: usize = 16;

// ------------------------------------------------------------------------------------- encoding

/// Batches up to this size are gzipped in one shot, at 40 % less CPU than zlib or better. That
/// needs the compress bound of the whole batch as one buffer, which larger batches do not get:
/// they are streamed through zlib.
pub const GZIP_ONE_SHOT_BYTES_MAX: usize = 128 * MIB as usize;
/// What is packed by two searches to see which suits. In a batch of 5 MiB it costs a fiftieth of
/// what packing costs; less of it says less about the rest, for both begin with an empty window.
pub const GZIP_SAMPLE_BYTES: usize = 64 * KIB as usize;
/// Largest gzip buffer that is kept for the next batch: that of Firehose's default batch, with
/// room. Larger ones are rare, and memory is better given back.
pub const GZIP_BUFFER_BYTES: usize = 8 * MIB as usize;
/// How many of them are kept: the shipments of one busy destination.
pub const GZIP_BUFFERS: usize = 4;
/// Block of the Snappy containers: what snappy-java's streams cut the data into, so that a reader
/// sees the same layout.
pub const SNAPPY_BLOCK_BYTES: usize = 32 * KIB as usize;
/// Names of members without a column that a reader of rows remembers and counts. They come from
/// the records, so they are bounded; more of them tell nobody anything.
pub const ROWS_UNKNOWN_NAMES: usize = 1000;
/// Longest such name, in bytes. A longer one is still read, only not remembered.
pub const ROWS_KEY_BYTES_REMEMBERED: usize = 512;
/// Bytes of records whose rows are collected at a time. Offsets of text and lists have 32 bits, and
/// a record's text may grow by half when its case is folded.
pub const ROWS_INPUT_BYTES_MAX: usize = GIB as usize;
/// Values that a small record may unfold into (a struct in a list takes all its fields, however
/// short it is written): at least this, more in tables of many columns and fields, but never more
/// than the maximum; and the factor from which on a large one's size decides.
pub const ROWS_VALUES_MIN: usize = 1 << 16;
pub const ROWS_VALUES_PER_NODE: usize = 128;
pub const ROWS_VALUES_MIN_MAX: usize = 1 << 20;
pub const ROWS_VALUES_PER_BYTE: usize = 4;
/// Deepest nesting of a column's type.
pub const ROWS_TYPE_DEPTH_MAX: usize = 64;

/// Longest text of one column's type: Glue's own limit (API reference, Column).
pub const SCHEMA_TYPE_BYTES_MAX: usize = 131_072;
/// Longest DDL. Tables with thousands of columns stay far below.
pub const SCHEMA_DDL_BYTES_MAX: usize = MIB as usize;
/// Arrays, maps and structs inside of each other, in types that are given and in those inferred.
/// Types are walked by recursion, and nobody can query what lies deeper.
pub const SCHEMA_DEPTH_MAX: usize = 32;
/// Columns and fields of structs of one schema, all together. Each costs the writers a buffer.
pub const SCHEMA_FIELDS_MAX: usize = 10_000;
/// Longest name of a column, in characters (Glue API reference, Column).
pub const COLUMN_NAME_CHARS_MAX: usize = 255;
/// Columns that are inferred from records. Records whose members are data rather than names would
/// otherwise make a column of every one of them.
pub const INFERRED_COLUMNS_MAX: usize = 2_000;
/// Distinct members up to which an inferred object is a struct; with more it is a map. Types with
/// more fields than that exist, but they are written by hand and can be given.
pub const INFERRED_FIELDS_MAX: usize = 200;
/// Versions of an inferred schema that are kept, for those who want to know what came when.
pub const INFERRED_VERSIONS_KEPT: usize = 20;
/// Rows that are handed to a columnar writer at a time, and their bytes. More costs memory, less
/// costs calls.
pub const COLUMNAR_ROWS: usize = 8_192;
pub const COLUMNAR_BYTES: usize = 4 * MIB as usize;
/// Fewest rows between two entries of an ORC file's index (Firehose: RowIndexStride). Fewer make
/// files that are mostly index.
pub const ROW_INDEX_STRIDE_MIN: u32 = 1_000;
/// Names of members without a column that are remembered as logged, per destination.
pub const UNKNOWN_NAMES_LOGGED: usize = 1_000;

// ------------------------------------------------------------------------------------ transforms

/// Longest jq filter, in bytes. Firehose stops at 5,120 characters; a filter in a file may be
/// longer, but compiling recurses as deeply as it is nested.
pub const JQ_TEXT_BYTES_MAX: usize = 64 * KIB as usize;
/// Keys that a MetadataExtraction query may give (Firehose guide).
pub const EXTRACTION_KEYS_MAX: usize = 50;
/// Levels of nesting in JSON that is read or written by jq filters; that of jq 1.6.
pub const JSON_DEPTH_MAX: usize = 256;
/// Steps that a jq filter may take for a record: some of them for any, and more for larger ones.
/// A step takes some 50 ns, and ordinary filters take less than a hundred of them. With more, one
/// record could hold up a stream for seconds, and nest values deeper than the stack bears.
pub const JQ_STEPS_BASE: u64 = 100_000;
pub const JQ_STEPS_PER_BYTE: u64 = 4;
/// Stack on which filters run. It is address space until it is used.
pub const JQ_STACK_BYTES: usize = 512 * MIB as usize;
/// The part of it that evaluating may use: some 10,000 calls inside each other.
pub const JQ_STACK_OF_TERMS_BYTES: usize = 16 * MIB as usize;
/// Outputs of a map for one record. Each becomes a record in memory.
pub const JQ_OUTPUTS_MAX: usize = 10_000;
/// Bytes of all outputs of a map for one record, and of a string that `*` makes.
pub const JQ_OUTPUT_BYTES_MAX: usize = 16 * MIB as usize;

// ------------------------------------------------------------------------------------- delivery

/// Most memory that is taken for a batch before its records are there. Larger ones grow from it.
pub const BATCH_ROOM_MAX: usize = 16 * MIB as usize;

/// Chunk of a batch whose bytes may be put aside. Smaller ones mean more pieces to write and to
/// read back, larger ones more memory that is reserved and not used.
pub const CHUNK_BYTES: usize = MIB as usize;
/// Largest chunk of a batch: where records end in it is told in 32 bits. Only batches without a
/// size of their own come near it.
pub const CHUNK_BYTES_MAX: usize = 2 * GIB as usize;
/// Bytes read from the journal at a time. Larger reads cost memory, smaller ones system calls.
pub const READ_BYTES: usize = MIB as usize;
/// Shipments of one destination under way at a time (encoding, sending or waiting to retry).
pub const SHIPMENTS_IN_FLIGHT: usize = 4;
/// The same for a destination that is partitioned, whose objects are many and small: at 50 ms a
/// request this is 320 objects a second.
pub const SHIPMENTS_IN_FLIGHT_PARTITIONED: usize = 16;
/// Requests under way at a time to a destination over HTTP: as many as its answers leave room for,
/// which the adaptive limit finds out. A destination 100 ms away takes 160 batches a second.
pub const REQUESTS_IN_FLIGHT: usize = 16;
/// The same, with those that wait for their turn.
pub const REQUESTS_WAITING: usize = 20;
/// Bytes of shipments on their way to a destination over HTTP. Less than for objects: they wait as
/// plain records, and a request is built of them at each attempt, which takes as much again.
pub const REQUESTS_BYTES: u64 = 48 * MIB;
/// Batches of one destination that are closed and wait for their turn. A partitioned destination
/// closes all of its partitions within an interval; more than this means that it falls behind,
/// and then nothing more is read.
pub const SHIPMENTS_WAITING: usize = 16_384;
/// Calls of the transforms of one destination under way at a time, where they only compute. Two
/// keep two processors busy; more would only hold memory.
pub const TRANSFORMS_IN_FLIGHT: usize = 2;
/// Records that go through transforms together. A jq filter may take some milliseconds for each,
/// and as long holds a thread that others wait for.
pub const TRANSFORMED_TOGETHER: usize = 1024;
/// Records that go through transforms together which may make very large ones of them
/// (`UNPACKED_BYTES_MAX` each). More would only cost memory when somebody sends bombs.
pub const EXPANDING_TOGETHER: usize = 4;
/// The same where somebody is called for them: fewer would make many calls of little.
pub const EXPANDING_TOGETHER_CALLED: usize = 16;
/// Scratch file for bytes of open batches that memory has no room for. Its space is given back as a
/// whole, so larger ones hold back more disk.
pub const SPILL_FILE_BYTES: u64 = 16 * MIB;
/// Scratch space of one destination. When it is used up, the largest batch is closed early.
pub const SPILL_BYTES_MAX: u64 = 8 * GIB;
/// What may be on its way to the scratch space; reading waits for the rest.
pub const SPILLING_BYTES_MAX: u64 = 64 * MIB;
/// How long nothing is put there after the disk has refused; batches are closed early meanwhile.
pub const SPILL_REST: Duration = Duration::from_secs(30);
/// Once memory is short, open batches are put aside until this part of the budget is left, in
/// percent. Less would write smaller pieces more often.
pub const SPILL_TO_PERCENT: u64 = 60;
/// Bytes of encoded and open batches of one destination.
pub const IN_FLIGHT_BYTES_DEFAULT: u64 = 192 * MIB;
/// Bytes of open batches of all destinations together. Beyond it the largest is closed early.
pub const OPEN_BYTES_TOTAL: u64 = 128 * MIB;
/// Smallest such budget: what one read of the journal brings must fit several times.
pub const OPEN_BYTES_MIN: u64 = 8 * MIB;
/// Shipment history kept per destination for `standpipe trace`.
pub const HISTORY_BYTES: u64 = 16 * MIB;
/// The ledger file is rewritten once it holds this many settled entries.
pub const LEDGER_COMPACT_ENTRIES: usize = 4096;

/// Firehose's default buffering with dynamic partitioning or format conversion: 128 MiB.
pub const BUFFER_BYTES_DEFAULT_LARGE: u64 = 128 * MIB;
/// Partitions with an open batch at a time (Firehose quotas: 500).
pub const PARTITIONS_DEFAULT: u32 = 500;
/// Most of them that may be configured. Each has a few KiB of its own in memory, whatever it holds.
pub const PARTITIONS_MAX: u32 = 100_000;
/// How late a record may have to be to count as late. Further back lie mistakes, not delays.
pub const LATE_AFTER_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// Firehose's RetryOptions of dynamic partitioning, and the longest (API reference).
pub const PARTITION_RETRY_DEFAULT: Duration = Duration::from_secs(300);
pub const PARTITION_RETRY_MAX: Duration = Duration::from_secs(7_200);
/// Firehose's default buffering: 5 MiB or 300 s (BufferingHints).
pub const BUFFER_BYTES_DEFAULT: u64 = 5 * MIB;
pub const BUFFER_INTERVAL_DEFAULT: Duration = Duration::from_secs(300);
/// Firehose stops at 128 MiB; from YAML up to 1 GiB is taken, for the object is held in memory.
pub const BUFFER_BYTES_MAX: u64 = GIB;
/// Firehose stops at 900 s; from YAML up to a day is taken.
pub const BUFFER_INTERVAL_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// First wait after a failed attempt at S3.
pub const S3_BACKOFF_INITIAL: Duration = Duration::from_millis(500);
/// Longest wait between attempts at S3: how soon a mended destination goes on by itself.
pub const S3_BACKOFF_MAX: Duration = Duration::from_secs(30);
/// One attempt at S3, whole object.
pub const S3_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(300);
/// Splunk's interval of buffering unless told otherwise (API reference, SplunkBufferingHints).
pub const SPLUNK_INTERVAL_DEFAULT: Duration = Duration::from_secs(60);
/// The interval of buffering for every partner's endpoint unless told otherwise (developer guide,
/// "Configure buffering hints").
pub const PARTNER_INTERVAL: Duration = Duration::from_secs(60);
/// The wait after a destination's first failure (developer guide, HTTP endpoint delivery).
pub const ENDPOINT_BACKOFF_INITIAL: Duration = Duration::from_secs(1);
/// The longest wait between two attempts at a destination (developer guide, the same).
pub const ENDPOINT_BACKOFF_MAX: Duration = Duration::from_secs(120);
/// Failures in a row after which a destination counts as down: more than the shipments that were on
/// their way together when one short trouble met them.
pub const BREAKER_FAILURES: u32 = 5;
/// The longest pause between two probes of a destination that is down: so late at the most its
/// return is noticed.
pub const BREAKER_PROBE_MAX: Duration = Duration::from_secs(30);
/// What is on its way to a destination that records are replayed to, journal and open batches each.
pub const REPLAY_JOURNAL_BYTES: u64 = 48 * MIB;
/// How often a flush that cannot be answered yet is looked at.
pub const FLUSH_LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a destination must have been well before what piled up is replayed by itself.
pub const REPLAY_AFTER_DEFAULT: Duration = Duration::from_secs(300);
/// How often it is looked at whether something is to be replayed.
pub const REPLAY_LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a replay straight to a destination that is told to stop waits for what is under way.
pub const REPLAY_STOP_PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked at what keeps such a replay from going on.
pub const REPLAY_TROUBLE_EVERY: Duration = Duration::from_secs(2);
/// How long records that are replayed wait for more of their batch: many calls overlap, so that a
/// batch is full before as a rule.
pub const REPLAY_GATHERED_FOR: Duration = Duration::from_millis(250);
/// What an attempt gets beyond the time limits of its requests: they come first, and tell more.
pub const ATTEMPT_GRACE: Duration = Duration::from_secs(15);

/// Bytes of a request to Datadog's logs intake before compression: 5 MB (API reference, "Send
/// logs").
pub const DATADOG_REQUEST_BYTES_MAX: usize = 5_000_000;
/// Logs in a request (the same).
pub const DATADOG_LOGS_MAX: u64 = 1000;
/// Bytes of one log: 1 MB (the same). Of a larger one Datadog throws away the end without a word.
pub const DATADOG_LOG_BYTES_MAX: usize = 1_000_000;
/// Largest answer of Datadog; what it says of an error has some hundred bytes.
pub const DATADOG_ANSWER_BYTES_MAX: usize = 64 * KIB as usize;
/// How long HTTP endpoints and OpenSearch are asked again unless told otherwise (API reference).
pub const RETRY_DURATION_DEFAULT: Duration = Duration::from_secs(300);
/// The same for Splunk (API reference, SplunkRetryOptions).
pub const SPLUNK_RETRY_DURATION_DEFAULT: Duration = Duration::from_secs(3600);
/// Longest answer of OpenSearch to a bulk request: so much, and more for each document. An error has
/// some 300 bytes, with its causes and the values it names up to 2 KiB. Answers are held in memory.
pub const BULK_ANSWER_BYTES_BASE: usize = MIB as usize;
pub const BULK_ANSWER_BYTES_PER_RECORD: usize = 2 * KIB as usize;
pub const BULK_ANSWER_BYTES_MAX: usize = 16 * MIB as usize;
/// The longest retry duration: what failed for a week is better kept elsewhere.
pub const RETRY_DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Attempts at a time that a destination is first trusted with, where their number adapts. The
/// right number is found within a few rounds either way; a larger one would fall upon a destination
/// that has just come back.
pub const ATTEMPTS_AT_FIRST: usize = 4;
/// Smallest request whose refusal for its size is remembered. Nobody sets a limit below it; what is
/// refused there has too many records, or a trouble of its own.
pub const REFUSED_BYTES_MIN: u64 = 64 * KIB;
/// Small records, each refused alone in its request while nothing passes, before the destination is
/// held to refuse us rather than them. A setting that is wrong is refused with the same statuses, and
/// would send everything to the error output, each record by a request of its own.
pub const REFUSED_ALONE_MAX: usize = 8;
/// Requests that pass in a row before somewhat larger ones are tried again, once one was refused
/// for its size. One in so many is then refused for nothing, as long as the limit stands.
pub const PASSED_BEFORE_LARGER: u32 = 64;
/// Failures, one after the other, of the pieces of a shipment that was too large, before the rest
/// of it is left for the next attempt. One may be that piece's own; more are the destination's, and
/// a time limit for each of a hundred pieces would be hours.
pub const PIECES_FAILED_IN_A_ROW: u32 = 2;
/// Parts of one object under way at a time. They are slices of the object, so more of them cost
/// connections rather than memory.
pub const PARTS_IN_FLIGHT: usize = 3;
/// Time given to the tidying up of an unfinished upload; what is left then is for the bucket's
/// lifecycle rule.
pub const ABORT_TIMEOUT: Duration = Duration::from_secs(30);
/// One step of a trial of a destination: somebody waits for the answer at a terminal.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(30);
/// The wait when a server says `SlowDown` without saying how long.
pub const SLOW_DOWN_WAIT: Duration = Duration::from_secs(1);
/// Longest wait a server may ask for with `Retry-After`. Beyond it a delivery would rest long
/// after the destination is well again.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(5 * 60);
/// Objects above this go up in parts.
pub const MULTIPART_BYTES_DEFAULT: u64 = 32 * MIB;
/// Bounds of that threshold: S3 takes no smaller part than 5 MiB, and no larger object in one
/// request than 5 GiB.
pub const MULTIPART_BYTES_MIN: u64 = 5 * MIB;
pub const MULTIPART_BYTES_MAX: u64 = 5 * GIB;
/// Size of a part. S3 takes no smaller one than 5 MiB except the last.
pub const PART_BYTES: u64 = 8 * MIB;
/// Longest delimiter: it stands behind every record, so a long one is a mistake.
pub const DELIMITER_BYTES_MAX: usize = 64;
/// Longest bucket name other servers may have (BucketARN's pattern); S3 itself stops at 63.
pub const BUCKET_CHARS_MAX: usize = 255;
/// Longest object key S3 takes, in bytes of UTF-8.
pub const S3_KEY_BYTES_MAX: usize = 1024;
/// Longest prefix as configured (API reference).
pub const PREFIX_CONFIGURED_CHARS_MAX: usize = 1024;
/// Longest FileExtension (API reference).
pub const FILE_EXTENSION_CHARS_MAX: usize = 128;
/// Longest name of a stream (API reference).
pub const STREAM_NAME_CHARS_MAX: usize = 64;
/// Longest evaluated prefix (Firehose guide).
pub const PREFIX_CHARS_MAX: usize = 512;
/// Longest name in a folder that common filesystems take, in bytes (NAME_MAX).
pub const FILE_NAME_BYTES_MAX: usize = 255;
/// Folders remembered as durably created, per local bucket. Beyond it they are forgotten, which
/// costs an fsync per level the next time.
pub const FOLDERS_REMEMBERED: usize = 4096;
/// Default time to deliver what is open when told to stop.
pub const SHUTDOWN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// Longest such time; service managers give up long before.
pub const SHUTDOWN_TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

// ------------------------------------------------- what destinations over HTTP may be told

/// Largest request of an HTTP endpoint before compression (developer guide, HTTP endpoint delivery).
pub const HTTP_BUFFER_BYTES_MAX: u64 = 64 * MIB;
/// Largest request of Splunk: its collector takes no more unless it is told to (API reference,
/// SplunkBufferingHints).
pub const SPLUNK_BUFFER_BYTES_MAX: u64 = 5 * MIB;
/// Largest request of OpenSearch (API reference): its nodes refuse bodies above 100 MiB.
pub const SEARCH_BUFFER_BYTES_MAX: u64 = 100 * MIB;
/// Largest request of Datadog's intake, which takes 5 MB with what is put around the logs.
pub const DATADOG_BUFFER_BYTES_MAX: u64 = 4 * MIB;
/// Longest time for one request of a destination: whoever needs more has lost it.
pub const REQUEST_TIMEOUT_MAX: Duration = Duration::from_secs(3600);
/// Bounds of the wait for Splunk's acknowledgement. Firehose: 180 to 600 s.
pub const SPLUNK_ACKNOWLEDGMENT_MIN: Duration = Duration::from_secs(1);
pub const SPLUNK_ACKNOWLEDGMENT_MAX: Duration = Duration::from_secs(600);
/// Shortest pause between two questions for acknowledgements: more often costs more than it tells.
pub const SPLUNK_POLL_MIN: Duration = Duration::from_millis(100);
/// Common attributes of an HTTP endpoint, and their lengths (API reference,
/// HttpEndpointRequestConfiguration).
pub const COMMON_ATTRIBUTES_MAX: usize = 50;
pub const ATTRIBUTE_NAME_CHARS_MAX: usize = 256;
pub const ATTRIBUTE_VALUE_CHARS_MAX: usize = 1024;
/// Longest name of an HTTP endpoint (API reference, HttpEndpointConfiguration).
pub const ENDPOINT_NAME_CHARS_MAX: usize = 256;
/// Longest access key of an HTTP endpoint (API reference), and more than any token has.
pub const ACCESS_KEY_BYTES_MAX: usize = 4096;
/// Longest name of an index as configured, and of a type (API reference).
pub const INDEX_NAME_CHARS_MAX: usize = 80;
pub const TYPE_NAME_CHARS_MAX: usize = 100;
/// Longest tag of Datadog; it cuts what is longer (documentation, "Getting Started with Tags").
pub const DATADOG_TAG_CHARS_MAX: usize = 200;

// --------------------------------------------------------------------------------- Parquet files

/// Nesting of a column's type in a Parquet file: readers recurse, many of them without a bound.
pub const PARQUET_DEPTH_MAX: usize = 64;
/// Leaf columns of a Parquet file. Each holds a page open, and its entry in the footer is read by
/// every query.
pub const PARQUET_LEAVES_MAX: usize = 16_384;
/// Row groups of a Parquet file: their ordinal is an i16 (parquet.thrift, `RowGroup.ordinal`).
pub const PARQUET_ROW_GROUPS_MAX: usize = 32_767;
/// Smallest and largest page that is aimed at. Smaller ones are all headers; sizes of pages are
/// i32, and one takes its whole size in memory several times while it is compressed.
pub const PARQUET_PAGE_BYTES_MIN: u64 = KIB;
pub const PARQUET_PAGE_BYTES_MAX: u64 = 256 * MIB;
/// Columns with a Bloom filter: an open row group holds up to 4 MiB for each.
pub const PARQUET_BLOOM_FILTERS_MAX: usize = 64;
/// Smallest share of wrong hits of a Bloom filter: below it a filter is larger than its column.
pub const PARQUET_BLOOM_FILTER_PROBABILITY_MIN: f64 = 0.0001;
/// Share of wrong hits instead of one that leaves nothing to filter.
pub const BLOOM_FILTER_PROBABILITY_MAX: f64 = 0.99;

// ------------------------------------------------------------------------------ outgoing clients

/// Time to reach a server, TLS included. Longer waits hide a dead host from the retry loop.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One question to a credentials service, and all of a chain's questions together.
pub const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(20);
/// How long an upload may stand still before the attempt is given up.
pub const STALL_GRACE: Duration = Duration::from_secs(20);
/// How long an idle connection is kept. S3 closes its side after about 20 s, and a connection
/// that dies just as it is taken costs an attempt.
pub const IDLE_CONNECTION: Duration = Duration::from_secs(15);
/// A sign of life on a connection that waits for its answer. Address translators on the way forget
/// a silent connection, the impatient ones after a minute.
pub const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Credential providers kept to be shared (by region and role). Beyond it the store is emptied:
/// clients keep what they have, new ones ask for credentials again.
pub const AWS_IDENTITIES_SHARED: usize = 1024;
/// How deep the columns of an ORC file are nested at most. Reading and writing recurse that far; a
/// table that means it stays below ten.
pub const ORC_NESTING_MAX: usize = 64;
/// Clients for HTTP kept, one for each kind of TLS. Beyond it all are forgotten and made anew, which
/// costs each a connection.
pub const HTTP_CLIENTS: usize = 256;
/// Answers that go on for minutes, on one connection: a server of HTTP/2 takes some hundred
/// requests at a time (RFC 9113, 6.5.2 asks for no less than 100), and the next one would wait.
pub const STREAMS_PER_CONNECTION: usize = 64;
/// What such an answer may send before it is read: 2 MiB/s in base64 over 150 ms of distance.
pub const STREAM_WINDOW_BYTES: u32 = 512 * KIB as u32;
/// What all of a connection may send: as much as each may on its own, so that one that is not read
/// holds back none of the others.
pub const STREAM_CONNECTION_WINDOW_BYTES: u32 =
    (STREAMS_PER_CONNECTION as u32 + 1) * STREAM_WINDOW_BYTES;
/// Addresses of a name that a trial tries, one behind the other.
pub const PROBED_ADDRESSES: usize = 8;
/// The port of a proxy whose address names none (as curl and hyper take it).
pub const PROXY_PORT: u16 = 80;
/// How long the rest of an answer is waited for of which the status alone matters: what comes late
/// costs its connection.
pub const ANSWER_QUOTE_WAIT: Duration = Duration::from_secs(2);
/// Longest message of a server that is passed on, in characters.
pub const MESSAGE_CHARS_MAX: usize = 400;

// ------------------------------------------------------------------------------ HTTP endpoints

/// Most records in a request (developer guide, HTTP endpoint delivery request).
pub const ENDPOINT_RECORDS_MAX: usize = 10_000;
/// Largest body of a request before compression: 64 MiB (same page).
pub const ENDPOINT_BODY_BYTES_MAX: usize = 64 * MIB as usize;
/// Largest answer, headers included: 1 MiB (same page).
pub const ENDPOINT_ANSWER_BYTES_MAX: usize = MIB as usize;
/// Longest `errorMessage` of an answer (same page).
pub const ENDPOINT_ERROR_CHARS_MAX: usize = 8192;
/// Longest reason phrase behind a status (error code
/// `HttpEndpoint.ResponseReasonPhraseExceededLimit`).
pub const ENDPOINT_REASON_CHARS_MAX: usize = 64;
/// How much is read of an answer that is only quoted: more than a message of ours takes, for it
/// may begin with markup.
pub const ENDPOINT_QUOTE_BYTES: usize = 4 * KIB as usize;

// -------------------------------------------------------------------------- schema registries

/// Time for one question to a registry, unless told otherwise.
pub const SCHEMA_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer of a registry. Schemas have some KiB; Glue allows 170 KB.
pub const SCHEMA_ANSWER_BYTES_MAX: usize = 4 * MIB as usize;
/// Schemas that one schema may name, directly or not. Each is a question.
pub const SCHEMA_REFERENCES_MAX: usize = 100;
/// Schemas remembered by one transform. A topic has a few versions of a few.
pub const SCHEMAS_KNOWN_MAX: usize = 10_000;
/// How long a schema that the registry does not have is not asked for again: a damaged record must
/// not cost a question each time, and one that was registered late should be found soon.
pub const SCHEMA_MISSING_FOR: Duration = Duration::from_secs(30);
/// Deepest nesting of types, and of the values of a record: each level costs stack, and what reads
/// the documents later (serde_json) goes no deeper than 128.
pub const AVRO_DEPTH_MAX: usize = 100;
/// Largest document that a record may become. An array of any number of nulls is a few bytes.
pub const SCHEMA_DOCUMENT_BYTES_MAX: usize = 16 * MIB as usize;
/// Digits of a decimal. SQL engines go to 38 or 76; to print more takes time with their square.
pub const SCHEMA_DECIMAL_DIGITS_MAX: u32 = 1000;
/// Records that are decoded together.
pub const SCHEMA_GATHER_BYTES: u64 = MIB;
/// How long records are gathered. Their schemas are known, so nothing is gained by more.
pub const SCHEMA_GATHER_FOR: Duration = Duration::from_millis(20);
/// Batches that are decoded at a time.
pub const SCHEMA_CONCURRENCY: usize = 4;

// ---------------------------------------------------------------------------- Lambda functions

/// Largest event of a synchronous call: 6 MiB (Lambda quotas).
pub const LAMBDA_REQUEST_BYTES_MAX: usize = 6 * MIB as usize;
/// Largest answer of a function: 6 MiB and 100 bytes, as Lambda's own error texts count.
pub const LAMBDA_ANSWER_BYTES_MAX: usize = 6 * MIB as usize + 100;
/// First wait after a failed call.
pub const LAMBDA_BACKOFF_INITIAL: Duration = Duration::from_secs(1);
/// Longest wait between calls: how soon a mended function is called again.
pub const LAMBDA_BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Longest name of a function (API reference: ARNs up to 256 characters).
pub const LAMBDA_NAME_CHARS_MAX: usize = 256;
/// Most calls of one function under way at a time that may be configured. Each holds an event and
/// an answer of up to 6 MiB.
pub const LAMBDA_CONCURRENCY_MAX: u32 = 1000;
/// Longest time that records are gathered for a call (Firehose: BufferIntervalInSeconds).
pub const LAMBDA_INTERVAL_MAX: Duration = Duration::from_secs(900);
/// Longest time for one call: Lambda itself ends a function after 15 minutes (Lambda quotas).
pub const LAMBDA_TIMEOUT_MAX: Duration = Duration::from_secs(900);
/// Most `partitionKeys` of one record. Firehose takes 50 keys in a prefix.
pub const LAMBDA_PARTITION_KEYS_MAX: usize = 256;

// -------------------------------------------------------------------------- Secrets Manager

/// One question to Secrets Manager.
pub const SECRET_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest answer: a secret has up to 64 KiB (Secrets Manager quotas), and each byte of it may take
/// six in JSON.
pub const SECRET_ANSWER_BYTES_MAX: usize = 512 * KIB as usize;
/// How long a managed key is used before it is looked up again. A question costs money, and a key
/// that was rotated shows earlier by being refused.
pub const SECRET_AGE_MAX: Duration = Duration::from_secs(60 * 60);
/// Time between two questions for the same key, however often it is refused. Less would ask in step
/// with the attempts at a destination that refuses a key for good.
pub const SECRET_ASK_INTERVAL: Duration = Duration::from_secs(5);

// ---------------------------------------------------------------------------- Glue Data Catalog

/// One question to Glue.
pub const GLUE_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest answer: a thousand columns with types of several KiB fit.
pub const GLUE_ANSWER_BYTES_MAX: usize = 8 * MIB as usize;
/// How often the latest version of a table may be looked up, and how seldom. More often than each
/// second costs calls of Glue; after a day nobody remembers why columns are missing.
pub const GLUE_REFRESH_MIN: Duration = Duration::from_secs(1);
/// How often the latest version of a table is looked up, unless told otherwise.
pub const GLUE_REFRESH_DEFAULT: Duration = Duration::from_secs(60);
pub const GLUE_REFRESH_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Partitions remembered as registered, per table. Beyond it they are forgotten, which costs a
/// question to Glue for each the next time.
pub const PARTITIONS_REMEMBERED: usize = 16_384;
/// Objects remembered as uploaded while their partition could not be registered. Beyond it the
/// oldest is forgotten and uploaded again; shipments under way are far fewer.
pub const UNREGISTERED_UPLOADS: usize = 1024;

// --------------------------------------------------------------------------------------- Splunk

/// Largest answer of the collector. Its answers are short; the largest says of each id of a poll
/// whether it is acknowledged.
pub const SPLUNK_ANSWER_BYTES_MAX: usize = 64 * KIB as usize;
/// Acknowledgement ids asked for in one poll. More would not fit the answer.
pub const SPLUNK_ACKS_PER_POLL: usize = 1000;
/// One poll. What it would have told is lost when it takes longer, and the events are sent again;
/// a hanging one holds up the news of all others.
pub const SPLUNK_POLL_TIMEOUT: Duration = Duration::from_secs(30);
/// The size above which Splunk Cloud answers that the first object is invalid (found between
/// 5,242,881 and 6,000,000 bytes before compression).
pub const SPLUNK_CONTENT_BYTES: usize = 5 * MIB as usize;
/// Cookies of one destination. Load balancers set one or two.
pub const SPLUNK_COOKIES_MAX: usize = 16;
/// What they may take in a request's head; servers refuse heads of more than 8 KiB.
pub const SPLUNK_COOKIES_BYTES_MAX: usize = 4 * KIB as usize;

const _: () = {
    // `"18446744073709551615":false,` for each.
    assert!(SPLUNK_ACKS_PER_POLL * 30 < SPLUNK_ANSWER_BYTES_MAX);
};

// --------------------------------------------------------------------------------- followed files

/// Shortest limit of a record's length: below it nothing useful is left of a line.
pub const LINE_BYTES_MIN: u64 = KIB;
/// What CRI puts before a line: a time with nanoseconds and offset, the stream, a few tags.
pub const CRI_PREFIX_BYTES: usize = 128;
/// What Docker puts around a line: a time, the stream, labels of the container. The line itself may
/// take twice its length there; what is longer is no line of Docker's, which cuts at 16 KiB.
pub const DOCKER_JSON_BYTES: usize = 64 * KIB as usize;
/// Memory of a pattern of the user's, compiled, and again as much for its cache.
pub const PATTERN_BYTES_MAX: usize = 2 * MIB as usize;
/// How long a file is silent before a record of several lines is taken for complete (Fluent Bit's
/// `flush_ms`). Shorter takes traces apart that are written slowly.
pub const MULTILINE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(4);
/// Longest such time: the position in the file does not move on meanwhile.
pub const MULTILINE_TIMEOUT_MAX: Duration = Duration::from_secs(60 * 60);
/// Most lines of a record, unless told otherwise: a pattern that never matches would otherwise
/// gather up to the largest record every time.
pub const MULTILINE_LINES_DEFAULT: u32 = 1000;

/// Most members of an object that is made of a line. Each takes memory for every record, whether
/// the line has it or not.
pub const AGENT_FIELDS_MAX: usize = 1024;

// --------------------------------------------------------------------------------------- replay

/// Longest line of an error object that is read. Firehose takes records of up to 10 MiB from
/// Kinesis, which are 13.4 MiB in base64; what is longer is damage.
pub const REPLAY_LINE_BYTES_MAX: usize = 16 * MIB as usize;
/// What an object may unpack to. It is read as a stream, so more would cost time, not memory: this
/// ends archives that were made to never end.
pub const REPLAY_UNPACKED_BYTES_MAX: u64 = 64 * GIB;
/// Largest block of a Snappy stream that is unpacked. snappy-java writes 32 KiB, Hadoop 256 KiB.
pub const REPLAY_BLOCK_BYTES_MAX: usize = 32 * MIB as usize;
/// What is read of an unpacked object at a time.
pub const REPLAY_WINDOW_BYTES: usize = 256 * KIB as usize;
/// Objects being read at a time. They are delivered one after the other; those ahead hide the wait
/// for the first byte.
pub const REPLAY_OBJECTS_AHEAD: usize = 4;
/// Records that a reader hands on together, in bytes, and how many such pieces of one object wait.
pub const REPLAY_PIECE_BYTES: usize = MIB as usize;
pub const REPLAY_PIECES_AHEAD: usize = 2;
/// Objects that are listed ahead. Up to so many the remaining time is known from the start.
pub const REPLAY_LISTED_AHEAD: usize = 10_000;
/// Calls of a deliverer under way at a time.
pub const REPLAY_IN_FLIGHT: usize = 4;
/// Records whose replays are remembered, 20 bytes each and as much again while the table grows.
pub const REPLAY_REMEMBERED: usize = 1_000_000;
/// How long they are: a circle turns faster.
pub const REPLAY_REMEMBERED_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How far the clocks of those who write error records may differ from ours.
pub const REPLAY_CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);
/// Longest time that progress within an object is written but not synced.
pub const REPLAY_SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// Troubles that a report names; more of them are counted.
pub const REPLAY_TROUBLES_NAMED: usize = 1_000;
/// Damaged lines that are named of one object.
pub const REPLAY_DAMAGES_NAMED: usize = 20;
/// Kinds and codes that are counted apart. Codes come from the objects, so they are bounded.
pub const REPLAY_SUMMARY_ROWS: usize = 1_000;
/// What is shown of a sample, and of a message.
pub const REPLAY_SAMPLE_BYTES: usize = 200;
/// How often a request of the replay is sent again for passing trouble; with the waits between
/// them a minute.
pub const REPLAY_ATTEMPTS: u32 = 7;

const _: () = {
    assert!(KINESIS_ANSWER_BYTES_MAX <= KINESIS_READ_AHEAD_BYTES);
    assert!(KINESIS_READ_AHEAD_BYTES < u32::MAX as usize);
    assert!(KINESIS_PUT_BYTES < FRAME_BYTES_MAX / 2);
    assert!(AVRO_DEPTH_MAX < HTTP_JSON_DEPTH_MAX);
    assert!(HTTP_BODY_BYTES_DEFAULT <= HTTP_BODY_BYTES_MAX);
    assert!(HTTP_BODY_BYTES_MAX <= HTTP_UNPACKED_BYTES);
    assert!(HTTP_UNPACKED_BYTES <= u32::MAX as usize);
    assert!(OTLP_DEPTH_MAX + 4 < HTTP_JSON_DEPTH_MAX);
    assert!(REPLAY_LINE_BYTES_MAX > RECORD_BYTES_MAX / 3 * 4 * 2);
    assert!(REPLAY_PIECE_BYTES <= BATCH_BYTES_MAX);
    assert!(UNREGISTERED_UPLOADS > SHIPMENTS_IN_FLIGHT);
    assert!(ENDPOINT_REASON_CHARS_MAX < MESSAGE_CHARS_MAX);
    assert!(LAMBDA_REQUEST_BYTES_MAX < LAMBDA_ANSWER_BYTES_MAX);
    assert!(BATCH_BYTES_MAX + BATCH_RECORDS_MAX * 8 < FRAME_BYTES_MAX);
    assert!(KAFKA_RECORD_BYTES_DEFAULT < (FRAME_BYTES_MAX - KAFKA_FRAME_ROOM) as u64);
    assert!(KAFKA_PUT_BYTES < KAFKA_WAITING_BYTES);
    assert!((FRAME_BYTES_MAX as u64) < SEGMENT_BYTES);
    assert!(RECORD_BYTES_MAX <= BATCH_BYTES_MAX);
    assert!(BATCH_BYTES_MAX / 3 * 4 + BATCH_RECORDS_MAX * 64 < BODY_BYTES_MAX);
    assert!(BODIES_IN_MEMORY_BYTES / BODIES_OF_ONE_PEER_DIVISOR >= 2 * BODY_BYTES_MAX);
    assert!(BODIES_OF_ONE_KEY_DIVISOR < BODIES_OF_ONE_PEER_DIVISOR);
    assert!(UNPACKED_BYTES_MAX >= RECORD_BYTES_MAX && UNPACKED_BYTES_MAX < u32::MAX as usize);
    assert!(BODY_GRACE_CROWDED.as_secs() < BODY_WAIT_MAX.as_secs());
    assert!(HTTP1_READ_BYTES_MAX >= HEAD_BYTES_MAX);
    assert!(CHUNK_BYTES_MAX as u64 >= BUFFER_BYTES_MAX);
    assert!(CHUNK_BYTES_MAX as u64 + FRAME_BYTES_MAX as u64 <= u32::MAX as u64);
    assert!(PART_BYTES >= 5 * MIB);
    assert!(BUFFER_BYTES_MAX.div_ceil(PART_BYTES) <= 10_000);
    assert!(JOURNAL_BYTES_MIN <= JOURNAL_BYTES_DEFAULT);
    assert!(APPEND_QUEUE_BYTES >= FRAME_BYTES_MAX);
    assert!(GATHER_BYTES <= GROUP_COMMIT_BYTES && GATHER_BYTES <= APPEND_QUEUE_BYTES);
    assert!(RESERVE_FIRST_BYTES <= SEGMENT_BYTES);
    assert!(ROWS_INPUT_BYTES_MAX / 2 * 3 < i32::MAX as usize);
};
