//! What a pod may say about its own sidecar: the `config.spillway.dev/…` annotations.
//!
//! A value that cannot work refuses the pod: a sidecar that silently runs with other ports or limits than its owner wrote
//! would be found out much later. An unknown key only warns, because a newer chart may annotate for a newer operator.

use std::collections::BTreeMap;

use super::Refusal;

const PREFIX: &str = "config.spillway.dev/";
const KNOWN: &str = "admin-port, cpu-limit, cpu-request, data-port, drain, log-level, memory-limit, memory-request";

/// The sidecar's knobs with the pod's wishes applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Overrides {
    pub(super) cpu_request: String,
    pub(super) cpu_limit: Option<String>,
    pub(super) memory_request: String,
    pub(super) memory_limit: String,
    pub(super) log_level: String,
    pub(super) drain: String,
    pub(super) data_port: u16,
    pub(super) admin_port: u16,
}

impl Default for Overrides {
    fn default() -> Self {
        Self {
            cpu_request: "10m".into(),
            // A CPU limit throttles exactly when latency matters; whoever needs one asks for it.
            cpu_limit: None,
            memory_request: "32Mi".into(),
            memory_limit: "256Mi".into(),
            log_level: "info".into(),
            drain: "25s".into(),
            data_port: 4040,
            admin_port: 4041,
        }
    }
}

/// Reads the annotations. Also returns the keys that mean nothing to this version, worded as warnings.
pub(super) fn read(annotations: &BTreeMap<String, String>) -> Result<(Overrides, Vec<String>), Refusal> {
    let mut overrides = Overrides::default();
    let mut warnings = Vec::new();
    for (annotation, value) in annotations {
        let Some(key) = annotation.strip_prefix(PREFIX) else { continue };
        if !overrides.set(key, value).map_err(|want| Refusal::annotation(annotation, value, want))? {
            warnings.push(format!("annotation {annotation} is not known and was ignored (known: {KNOWN})"));
        }
    }
    if overrides.data_port == overrides.admin_port {
        let value = overrides.admin_port.to_string();
        return Err(Refusal::annotation("config.spillway.dev/admin-port", &value, "a port other than the data port"));
    }
    Ok((overrides, warnings))
}

// === impl Overrides ===

impl Overrides {
    /// False: no such key. An error says what was wanted instead.
    fn set(&mut self, key: &str, value: &str) -> Result<bool, &'static str> {
        let text = value.to_owned();
        match key {
            "cpu-request" => self.cpu_request = quantity(text)?,
            "cpu-limit" => self.cpu_limit = Some(quantity(text)?),
            "memory-request" => self.memory_request = quantity(text)?,
            "memory-limit" => self.memory_limit = quantity(text)?,
            "log-level" => self.log_level = log_level(text)?,
            "drain" => self.drain = duration(text)?,
            "data-port" => self.data_port = port(value)?,
            "admin-port" => self.admin_port = port(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn quantity(text: String) -> Result<String, &'static str> {
    const WANT: &str = "a Kubernetes quantity such as 100m or 64Mi";
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffix = &text[digits.len()..];
    let known = ["", "m", "k", "M", "G", "Ki", "Mi", "Gi"].contains(&suffix);
    let number =
        digits.parse::<f64>().is_ok_and(|n| n > 0.0) && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if known && number { Ok(text) } else { Err(WANT) }
}

fn duration(text: String) -> Result<String, &'static str> {
    const WANT: &str = "a duration such as 25s or 1m";
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = ["ms", "s", "m"].contains(&&text[digits.len()..]);
    if unit && digits.parse::<u32>().is_ok() { Ok(text) } else { Err(WANT) }
}

fn log_level(text: String) -> Result<String, &'static str> {
    // The charset keeps `$(VAR)` expansion out of an env value; the sidecar checks the rest.
    let sane = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_:=,-".contains(&b));
    if sane { Ok(text) } else { Err("a level such as info, or a filter such as info,spillway=debug") }
}

fn port(text: &str) -> Result<u16, &'static str> {
    text.parse().ok().filter(|port| *port >= 1024).ok_or("a port from 1024 to 65535")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(key: &str, value: &str) -> Result<(Overrides, Vec<String>), Refusal> {
        read(&BTreeMap::from([(format!("{PREFIX}{key}"), value.to_owned())]))
    }

    #[test]
    fn sensible_values_are_taken() {
        let rows = [
            ("cpu-request", "100m"),
            ("cpu-limit", "1.5"),
            ("memory-request", "64Mi"),
            ("memory-limit", "1Gi"),
            ("log-level", "info,spillway_sidecar=debug"),
            ("drain", "1m"),
            ("data-port", "5050"),
            ("admin-port", "65535"),
        ];
        for (key, value) in rows {
            let (overrides, warnings) = with(key, value).expect(key);
            assert_ne!(overrides, Overrides::default(), "{key}={value} changed nothing");
            assert!(warnings.is_empty(), "{key}: {warnings:?}");
        }
    }

    #[test]
    fn a_value_that_cannot_work_refuses_the_pod_and_says_what_would() {
        let rows = [
            ("cpu-request", "lots", "quantity"),
            ("cpu-limit", "-1", "quantity"),
            ("memory-limit", "1e9", "quantity"),
            ("memory-request", "", "quantity"),
            ("memory-request", "12Zi", "quantity"),
            ("log-level", "$(SECRET)", "level"),
            ("drain", "soon", "duration"),
            ("data-port", "80", "1024"),
            ("data-port", "70000", "1024"),
            ("admin-port", "4040", "other than the data port"),
        ];
        for (key, value, hint) in rows {
            let message = with(key, value).expect_err(key).to_string();
            assert!(message.contains(key) && message.contains(hint), "{key}={value}: {message}");
        }
    }

    #[test]
    fn an_unknown_key_warns_and_names_the_known_ones() {
        let (overrides, warnings) = with("cpu", "1").unwrap();
        assert_eq!(overrides, Overrides::default());
        assert!(warnings[0].contains("config.spillway.dev/cpu") && warnings[0].contains("cpu-request"), "{warnings:?}");
    }
}
