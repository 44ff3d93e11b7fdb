//! The codes under which Firehose logs what Splunk said (developer guide, "Splunk data delivery
//! errors").

pub(super) const ACK_TIMEOUT: &str = "Splunk.AckTimeout";
pub(super) const ACKNOWLEDGEMENTS_DISABLED: &str = "Splunk.AcknowledgementsDisabled";
pub(super) const CONNECTION_CLOSED: &str = "Splunk.ConnectionClosed";
pub(super) const CONNECTION_TIMEOUT: &str = "Splunk.ConnectionTimeout";
pub(super) const CONTENT_TOO_LARGE: &str = "Splunk.ServerError.ContentTooLarge";
pub(super) const DISABLED_ACK: &str = "Splunk.DisabledAck";
pub(super) const DISABLED_TOKEN: &str = "Splunk.DisabledToken";
pub(super) const INDEXER_BUSY: &str = "Splunk.IndexerBusy";
pub(super) const INVALID_DATA_FORMAT: &str = "Splunk.InvalidDataFormat";
pub(super) const INVALID_ENDPOINT: &str = "Splunk.InvalidEndpoint";
pub(super) const INVALID_HEC_RESPONSE: &str = "Splunk.InvalidHecResponseCharacter";
pub(super) const INVALID_INDEX: &str = "Splunk.InvalidIndex";
pub(super) const INVALID_TOKEN: &str = "Splunk.InvalidToken";
pub(super) const PROXY_WITHOUT_STICKY_SESSIONS: &str = "Splunk.ProxyWithoutStickySessions";
pub(super) const SERVER_ERROR: &str = "Splunk.ServerError";
pub(super) const SSL_HANDSHAKE: &str = "Splunk.SSLHandshake";
pub(super) const SSL_UNVERIFIED: &str = "Splunk.SSLUnverified";
pub(super) const URL_NOT_FOUND: &str = "Splunk.URLNotFound";
