use super::{Pattern, PatternError, Zone, ZoneError};

/// What Java 17 printed; see `tests/fixtures/JavaTime.java`.
const JAVA: &str = include_str!("../../../tests/fixtures/java_time.tsv");

fn print(pattern: &str, epoch_ms: i64, zone: &str) -> Result<String, String> {
    let zone = Zone::parse(zone).map_err(|e| e.to_string())?;
    let pattern = Pattern::parse(pattern).map_err(|e| e.to_string())?;
    let mut text = String::new();
    let moment = zone.at(epoch_ms).ok_or("outside the years")?;
    pattern.print(&moment, &mut text).map_err(|e| e.to_string())?;
    Ok(text)
}

#[test]
fn every_row_of_java_is_met() {
    let mut wrong = Vec::new();
    let mut rows = 0;
    for row in JAVA.lines() {
        let [pattern, epoch_ms, zone, expected] =
            row.split('\t').collect::<Vec<_>>().try_into().unwrap();
        rows += 1;
        let actual = match print(pattern, epoch_ms.parse().unwrap(), zone) {
            Ok(text) => text,
            Err(message) => format!("!{message}"),
        };
        if actual != expected {
            wrong.push(format!("{pattern} at {epoch_ms} in {zone}: {actual}, Java {expected}"));
        }
    }
    assert!(rows > 1000, "{rows} rows");
    assert!(wrong.is_empty(), "{} of {rows} rows:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn zones_are_taken_by_their_exact_name() {
    assert!(Zone::parse("UTC").is_ok());
    assert!(Zone::parse("America/Argentina/Buenos_Aires").is_ok());
    for id in ["EST", "CET", "GMT", "PST", "utc"] {
        assert_eq!(Zone::parse(id).unwrap_err(), ZoneError::ThreeLetters(id.to_owned()));
    }
    for id in ["europe/berlin", "Europe/Atlantis", "", "+02:00", " UTC"] {
        assert_eq!(Zone::parse(id).unwrap_err(), ZoneError::Unknown(id.to_owned()));
    }
}

#[test]
fn every_zone_of_the_database_parses_and_nearly_all_have_names() {
    let database = jiff::tz::TimeZoneDatabase::bundled();
    let ids: Vec<String> = database.available().map(|name| name.to_string()).collect();
    assert!(ids.len() > 500, "{} zones", ids.len());
    let mut nameless = Vec::new();
    for id in ids.iter().filter(|id| id.len() != 3) {
        let zone = Zone::parse(id).unwrap_or_else(|e| panic!("{e}"));
        if zone.name(true, false) == id {
            nameless.push(id);
        }
    }
    assert!(nameless.len() < 10, "{nameless:?}");
}

#[test]
fn instants_outside_the_calendar_are_refused() {
    assert!(Zone::utc().at(i64::MAX).is_none());
    assert!(Zone::utc().at(i64::MIN).is_none());
}

#[test]
fn letters_after_java_8_are_unknown() {
    for letter in ['B', 'g', 'v'] {
        assert_eq!(
            Pattern::parse(&letter.to_string()),
            Err(PatternError::UnknownLetter(letter)),
            "{letter}"
        );
    }
}

proptest::proptest! {
    #[test]
    fn no_pattern_panics(pattern in "[yMdHhmsSnNAaGEecQqLYwWDFkKOXxZzVp'\\[\\]{}# /-]{0,24}", ms in 0i64..4_102_444_800_000) {
        // Either a text or one of Java's refusals; the point is that it comes back.
        if let Err(message) = print(&pattern, ms, "America/St_Johns") {
            proptest::prop_assert!(!message.is_empty());
        }
    }
}
