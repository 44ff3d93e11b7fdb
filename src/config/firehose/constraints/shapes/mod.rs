//! The shapes of every input as tables: names, bounds, patterns and enum values of the API's model
//! (API reference of Amazon Data Firehose, 2015-08-04). The order of members is the order in which
//! violations are listed; enum values stand in the order in which the service prints them.

mod conversion;
mod endpoints;
pub mod operations;
mod s3;
mod scalars;
mod search;
mod sources;
mod warehouses;
