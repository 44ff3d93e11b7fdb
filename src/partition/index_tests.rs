//! Names over many dates, the turns of years among them.

use super::*;

fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

fn naming(rotation: IndexRotation) -> IndexNaming {
    IndexNaming { name: "idx".into(), rotation }
}

#[test]
fn each_rotation_has_its_form() {
    for (rotation, arrival, expected) in [
        (IndexRotation::NoRotation, "2016-02-25T13:00:00Z", "idx"),
        (IndexRotation::OneHour, "2016-02-25T13:00:00Z", "idx-2016-02-25-13"),
        (IndexRotation::OneHour, "2016-02-25T13:59:59.999Z", "idx-2016-02-25-13"),
        (IndexRotation::OneHour, "2026-11-21T00:00:00Z", "idx-2026-11-21-00"),
        (IndexRotation::OneDay, "2016-02-25T13:00:00Z", "idx-2016-02-25"),
        (IndexRotation::OneDay, "2016-02-29T23:59:59.999Z", "idx-2016-02-29"),
        (IndexRotation::OneDay, "2016-03-01T00:00:00Z", "idx-2016-03-01"),
        (IndexRotation::OneDay, "1969-12-31T23:59:59.999Z", "idx-1969-12-31"),
        (IndexRotation::OneWeek, "2016-02-25T13:00:00Z", "idx-2016-w09"),
        (IndexRotation::OneMonth, "2016-02-25T13:00:00Z", "idx-2016-02"),
        (IndexRotation::OneMonth, "2026-12-31T23:59:59.999Z", "idx-2026-12"),
        (IndexRotation::OneMonth, "2027-01-01T00:00:00Z", "idx-2027-01"),
    ] {
        assert_eq!(naming(rotation).index(at(arrival)), expected, "{arrival}");
    }
    for far in [i64::MIN, i64::MAX] {
        assert!(naming(IndexRotation::OneWeek).index(far).starts_with("idx-"));
    }
}

/// Held against Java: `DateTimeFormatter.ofPattern("YYYY-'w'ww", Locale.US)`.
#[test]
fn weeks_are_those_of_their_saturdays() {
    for (day, expected) in [
        ("2000-01-01", "idx-2000-w01"),
        ("2000-01-02", "idx-2000-w02"),
        ("2011-12-31", "idx-2011-w53"),
        ("2012-01-01", "idx-2012-w01"),
        ("2015-12-27", "idx-2016-w01"),
        ("2016-01-02", "idx-2016-w01"),
        ("2016-01-03", "idx-2016-w02"),
        ("2016-12-31", "idx-2016-w53"),
        ("2017-01-01", "idx-2017-w01"),
        ("2018-12-29", "idx-2018-w52"),
        ("2018-12-30", "idx-2019-w01"),
        ("2019-01-01", "idx-2019-w01"),
        ("2020-08-12", "idx-2020-w33"),
        ("2021-12-25", "idx-2021-w52"),
        ("2021-12-26", "idx-2022-w01"),
        ("2022-01-02", "idx-2022-w02"),
        ("2022-12-31", "idx-2022-w53"),
        ("2023-01-01", "idx-2023-w01"),
        ("2026-11-21", "idx-2026-w47"),
        ("2026-11-22", "idx-2026-w48"),
        ("2026-12-26", "idx-2026-w52"),
        ("2026-12-27", "idx-2027-w01"),
        ("2027-01-02", "idx-2027-w01"),
        ("2027-01-03", "idx-2027-w02"),
    ] {
        for time in ["00:00:00", "23:59:59.999"] {
            let arrival = at(&format!("{day}T{time}Z"));
            let index = naming(IndexRotation::OneWeek).index(arrival);
            assert_eq!(index, expected, "{day}T{time}");
        }
    }
}

/// Over thirty years: a new name on Sundays alone, none twice, and they sort by time.
#[test]
fn every_week_has_seven_days_and_a_name_of_its_own() {
    let naming = naming(IndexRotation::OneWeek);
    let sunday = at("2010-01-03T00:00:00Z");
    let mut last = String::new();
    for week in 0..30 * 52 {
        let names: Vec<_> =
            (0..7).map(|day| naming.index(sunday + (week * 7 + day) * 24 * HOUR_MS)).collect();
        assert!(names.iter().all(|name| *name == names[0]), "{names:?}");
        assert!(names[0] > last, "{} after {last}", names[0]);
        last.clone_from(&names[0]);
    }
}

#[test]
fn names_that_are_remembered_are_the_same_names() {
    for rotation in [
        IndexRotation::NoRotation,
        IndexRotation::OneHour,
        IndexRotation::OneDay,
        IndexRotation::OneWeek,
        IndexRotation::OneMonth,
    ] {
        let naming = naming(rotation);
        let mut names = IndexNames::new(naming.clone());
        let start = at("2026-12-24T22:30:00Z");
        for step in 0..2000 {
            // Forward by 13 minutes, and a day back now and then.
            let arrival = start + step * 13 * 60_000 - (step % 7 / 6) * 24 * HOUR_MS;
            assert_eq!(*names.of(arrival), *naming.index(arrival), "{rotation:?} {arrival}");
        }
        for edge in [-1, 0, 1, -HOUR_MS, HOUR_MS - 1, i64::MIN, i64::MAX] {
            assert_eq!(*names.of(edge), *naming.index(edge), "{rotation:?} {edge}");
        }
        let (one, two) = (names.of(start), names.of(start + 1));
        assert!(Arc::ptr_eq(&one, &two));
    }
}
