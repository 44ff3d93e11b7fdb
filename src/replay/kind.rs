//! What kind of failure a line tells of.
//!
//! Lines do not name their kind. Some of their members are of one kind alone (`lambdaARN`,
//! `dataCatalogTable`, `esDocumentId`), and so are the beginnings of most codes; where a line has
//! neither, the object's key usually names the category, for Firehose's own examples of error
//! prefixes all do. Members that two kinds share decide last.

use crate::fault::output_type::*;

/// The kinds of failed records, and of what else can be put through again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A Lambda function, or another transform.
    Processing,
    FormatConversion,
    /// OpenSearch, OpenSearch Serverless, Elasticsearch.
    OpenSearch,
    Splunk,
    HttpEndpoint,
    Snowflake,
    Iceberg,
    Decompression,
    /// Dynamic partitioning could not take the keys from the record.
    Partitioning,
    /// Dynamic partitioning had too many partitions open.
    PartitionsExceeded,
    /// Source data that a Redshift manifest names.
    Redshift,
    /// A backup of source records: no failure at all.
    Source,
    /// An error record of a kind that nothing tells.
    Unknown,
}

impl Kind {
    pub const ALL: [Self; 13] = [
        Self::Processing,
        Self::FormatConversion,
        Self::OpenSearch,
        Self::Splunk,
        Self::HttpEndpoint,
        Self::Snowflake,
        Self::Iceberg,
        Self::Decompression,
        Self::Partitioning,
        Self::PartitionsExceeded,
        Self::Redshift,
        Self::Source,
        Self::Unknown,
    ];

    /// Firehose's word for it where it has one (`!{firehose:error-output-type}`).
    pub fn output_type(self) -> &'static str {
        match self {
            Self::Processing => PROCESSING_FAILED,
            Self::FormatConversion => FORMAT_CONVERSION_FAILED,
            Self::OpenSearch => OPENSEARCH_FAILED,
            Self::Splunk => SPLUNK_FAILED,
            Self::HttpEndpoint => HTTP_ENDPOINT_FAILED,
            Self::Snowflake => SNOWFLAKE_FAILED,
            Self::Iceberg => ICEBERG_FAILED,
            Self::Decompression => DECOMPRESSION_FAILED,
            Self::Partitioning => METADATA_EXTRACTION_FAILED,
            Self::PartitionsExceeded => ACTIVE_PARTITION_EXCEEDED,
            Self::Redshift => "redshift-failed",
            Self::Source => "source",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the raw data is what came out of the transforms. A destination refuses what it was
    /// sent; everything else is kept as it arrived. Through a stream with transforms such records
    /// would pass them twice.
    pub fn is_transformed(self) -> bool {
        match self {
            Self::OpenSearch
            | Self::Splunk
            | Self::HttpEndpoint
            | Self::Snowflake
            | Self::Iceberg
            | Self::Redshift => true,
            Self::Processing
            | Self::FormatConversion
            | Self::Decompression
            | Self::Partitioning
            | Self::PartitionsExceeded
            | Self::Source
            | Self::Unknown => false,
        }
    }

    /// A category as a user names it: also the legacy ones, and with `_` for `-` as some folders
    /// are named (`AmazonOpenSearchService_failed`).
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |text: &str| text.replace('_', "-").to_ascii_lowercase();
        let wanted = plain(text);
        if wanted == ELASTICSEARCH_FAILED {
            return Some(Self::OpenSearch);
        }
        Self::ALL.into_iter().find(|kind| plain(kind.output_type()) == wanted)
    }

    /// What a folder in the object's key says.
    pub fn of_key(key: &str) -> Option<Self> {
        let folders = key.rsplit_once('/')?.0;
        folders.split('/').rev().find_map(|folder| {
            // `type=splunk-failed` is a usual way to write it.
            let name = folder.rsplit('=').next().unwrap_or(folder);
            Self::parse(name).filter(|kind| !matches!(kind, Self::Source | Self::Unknown))
        })
    }

    /// What the beginning of a code says.
    pub fn of_code(code: &str) -> Option<Self> {
        let (family, rest) = code.split_once('.')?;
        Some(match family {
            "Lambda" => Self::Processing,
            "DataFormatConversion" => Self::FormatConversion,
            "OS" | "ES" => Self::OpenSearch,
            "Splunk" => Self::Splunk,
            "HttpEndpoint" => Self::HttpEndpoint,
            "Snowflake" => Self::Snowflake,
            "Iceberg" => Self::Iceberg,
            "Decompression" => Self::Decompression,
            "DynamicPartitioning" if rest.starts_with("ActivePartition") => {
                Self::PartitionsExceeded
            }
            "DynamicPartitioning" => Self::Partitioning,
            _ => return None,
        })
    }

    /// What a member says that only one kind has.
    pub fn of_member(name: &str) -> Option<Self> {
        Some(match name {
            "lambdaARN" | "lambdaArn" => Self::Processing,
            "dataCatalogTable" | "lastErrorCode" => Self::FormatConversion,
            "esDocumentId" | "esIndexName" | "osDocumentId" | "osIndexName" => Self::OpenSearch,
            _ => return None,
        })
    }

    /// What a member suggests where nothing else does: third parties saw it with Iceberg, too.
    pub fn of_shared_member(name: &str) -> Option<Self> {
        Some(match name {
            "dataId" | "subsequenceNumber" => Self::HttpEndpoint,
            "EventId" => Self::Splunk,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::output_type;

    #[test]
    fn every_category_has_its_kind() {
        for name in output_type::ALL {
            let kind = Kind::parse(name).unwrap();
            if name != ELASTICSEARCH_FAILED {
                assert_eq!(kind.output_type(), name);
            }
            assert_eq!(Kind::of_key(&format!("errors/{name}/2026/01/02/03/x")), Some(kind));
        }
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.output_type()), Some(kind));
        }
        assert_eq!(Kind::parse("splunk"), None);
    }

    #[test]
    fn keys_name_their_category_in_a_folder() {
        for (key, expected) in [
            ("AmazonOpenSearchService_failed/2026/x", Some(Kind::OpenSearch)),
            ("e/type=http-endpoint-failed/dt=1/x", Some(Kind::HttpEndpoint)),
            ("splunk-failed", None),
            ("logs/unknown/source/x", None),
            ("splunk-failed/iceberg-failed/x", Some(Kind::Iceberg)),
        ] {
            assert_eq!(Kind::of_key(key), expected, "{key}");
        }
    }

    #[test]
    fn codes_name_their_family() {
        for (code, expected) in [
            ("Lambda.FunctionTimedOut", Some(Kind::Processing)),
            ("DynamicPartitioning.MetadataExtractionFailed", Some(Kind::Partitioning)),
            ("DynamicPartitioning.ActivePartitionsLimitExceeded", Some(Kind::PartitionsExceeded)),
            ("400", None),
            ("Some.Code", None),
        ] {
            assert_eq!(Kind::of_code(code), expected, "{code}");
        }
    }
}
