//! Time zones: jiff's bundled IANA database, with the English names that Java prints for them.

use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{TimeZone, TimeZoneDatabase},
};

/// Per line: short standard name, short daylight name, the two long ones, and the zones that bear
/// them. Printed by `tests/fixtures/JavaTime.java`.
const NAMES: &str = include_str!("zone_names.tsv");

/// A time zone, looked up once.
#[derive(Debug, Clone)]
pub struct Zone {
    id: String,
    rules: TimeZone,
    names: [String; 4],
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    #[error(
        "CustomTimeZone {0} is not supported: the supported IANA time zone formats are \
         non-3-letter identifiers; write a region and a city, as in Europe/Berlin, or UTC"
    )]
    ThreeLetters(String),
    #[error(
        "CustomTimeZone {0} is not an IANA time zone; write a region and a city with their \
         capitals, as in Europe/Berlin, or UTC"
    )]
    Unknown(String),
}

/// An instant in a zone.
#[derive(Debug, Clone)]
pub struct Moment<'a> {
    pub(super) local: DateTime,
    pub(super) offset_s: i32,
    pub(super) daylight: bool,
    pub(super) zone: &'a Zone,
}

impl Zone {
    /// The zone of this IANA name, spelled exactly so. `UTC` is the one name of three letters
    /// that is taken: it is the default.
    pub fn parse(id: &str) -> Result<Self, ZoneError> {
        if id.len() == 3 && id != "UTC" {
            return Err(ZoneError::ThreeLetters(id.to_owned()));
        }
        let rules = TimeZoneDatabase::bundled()
            .get(id)
            .ok()
            .filter(|rules| rules.iana_name() == Some(id))
            .ok_or_else(|| ZoneError::Unknown(id.to_owned()))?;
        Ok(Self { id: id.to_owned(), rules, names: names(id) })
    }

    pub fn utc() -> Self {
        Self { id: "UTC".to_owned(), rules: TimeZone::UTC, names: names("UTC") }
    }

    /// The instant, in milliseconds since 1970, in this zone; `None` outside years -9999 to 9999.
    pub fn at(&self, epoch_ms: i64) -> Option<Moment<'_>> {
        let instant = Timestamp::from_millisecond(epoch_ms).ok()?;
        let info = self.rules.to_offset_info(instant);
        Some(Moment {
            local: info.offset().to_datetime(instant),
            offset_s: info.offset().seconds(),
            daylight: info.dst().is_dst(),
            zone: self,
        })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn name(&self, long: bool, daylight: bool) -> &str {
        &self.names[usize::from(long) * 2 + usize::from(daylight)]
    }
}

/// Java prints the id of a zone that it has no name for.
fn names(id: &str) -> [String; 4] {
    for line in NAMES.lines() {
        let mut columns = line.split('\t');
        let names = [(); 4].map(|()| columns.next().unwrap_or(id).to_owned());
        if columns.next().is_some_and(|ids| ids.split(' ').any(|other| other == id)) {
            return names;
        }
    }
    [(); 4].map(|()| id.to_owned())
}
