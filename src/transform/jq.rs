//! What jq does to records: keys for partitions, a filter, another form.
