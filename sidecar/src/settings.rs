//! The environment, checked: nothing below this file reads a variable. Beside our own there are those that clouds set for
//! their own clients; they are taken as they are.
//!
//! Every problem is found before a port is bound and all of them are reported at once, each with the variable, its value
//! and what to write instead. There is no configuration file: what the sidecar *does* comes from its feed.

use std::{collections::BTreeMap, ffi::OsString, fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use rustls_pki_types::{CertificateDer, pem::PemObject};
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::identity::Environment;

/// The longest `SPILLWAY_DRAIN`, for no pod is given more time than that to end, and `SPILLWAY_TOKENIZER_IDLE`.
const MAX_WAIT: Duration = Duration::from_secs(3600);

const TOKEN_FILE: &str = "/var/run/spillway/token/token";

/// The variables, in the order of `--help`.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "SPILLWAY_OPERATOR",
        default: None,
        about: "where config comes from: https://HOST:PORT of the operator",
    },
    Variable { name: "SPILLWAY_CA_PEM", default: None, about: "the only CA trusted for the operator, as PEM text" },
    Variable {
        name: "SPILLWAY_TOKEN_FILE",
        default: Some(TOKEN_FILE),
        about: "projected ServiceAccount token, audience spillway",
    },
    Variable {
        name: "SPILLWAY_CONFIG_FILE",
        default: None,
        about: "instead of SPILLWAY_OPERATOR: a snapshot as JSON, re-read when it changes",
    },
    Variable {
        name: "SPILLWAY_CREDENTIALS_FILE",
        default: None,
        about: "with SPILLWAY_CONFIG_FILE: provider keys as a JSON map of strings",
    },
    Variable {
        name: "SPILLWAY_JOURNAL_DIR",
        default: None,
        about: "where last-good config and what was spent outlive a container restart; unset: nowhere",
    },
    Variable {
        name: "SPILLWAY_DATA_ADDR",
        default: Some("127.0.0.1:4040"),
        about: "what applications call; loopback only",
    },
    Variable {
        name: "SPILLWAY_ADMIN_ADDR",
        default: Some("0.0.0.0:4041"),
        about: "/livez /readyz /startupz /metrics /debug/config",
    },
    Variable {
        name: "SPILLWAY_LOG",
        default: Some("info"),
        about: "error, warn, info, debug, trace or off; or by module: info,hyper=warn",
    },
    Variable { name: "SPILLWAY_DRAIN", default: Some("25s"), about: "how long open streams may go on after SIGTERM" },
    Variable {
        name: "SPILLWAY_TOKENIZER_IDLE",
        default: Some("10m"),
        about: "how long a tokenizer nobody needs stays in memory",
    },
    Variable { name: "SPILLWAY_POD", default: None, about: "NAMESPACE/NAME of the pod, for the log" },
];

/// One environment variable, as `--help` shows it.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    pub name: &'static str,
    pub default: Option<&'static str>,
    pub about: &'static str,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub source: Source,
    pub journal_dir: Option<PathBuf>,
    pub data_addr: SocketAddr,
    pub admin_addr: SocketAddr,
    pub log: Targets,
    pub drain: Duration,
    pub tokenizer_idle: Duration,
    pub pod: Option<String>,
    /// What a cloud's webhooks have set.
    pub cloud: Environment,
}

/// Where config comes from.
#[derive(Clone, Debug)]
pub enum Source {
    Operator(OperatorSource),
    File { config: PathBuf, credentials: Option<PathBuf> },
}

#[derive(Clone, Debug)]
pub struct OperatorSource {
    /// `https://host:port`, without a path.
    pub url: String,
    pub ca_pem: String,
    pub token_file: PathBuf,
}

/// Everything that is wrong with the environment, one problem a line.
#[derive(Debug, thiserror::Error)]
#[error("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Invalid {
    pub problems: Vec<Problem>,
}

/// One variable that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    pub variable: &'static str,
    /// None: it is not set.
    pub value: Option<String>,
    /// What is wrong, and what to write instead.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value:?}: {}", self.variable, self.why),
            None => write!(f, "{} is not set: {}", self.variable, self.why),
        }
    }
}

// === impl Settings ===

impl Settings {
    /// Checks the variables of `environment` (`std::env::vars_os()`).
    pub fn read(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, Invalid> {
        let environment: Vec<_> = environment.into_iter().collect();
        let cloud = Environment::read(|name| {
            let (_, value) = environment.iter().find(|(known, _)| known == name)?;
            value.to_str().filter(|value| !value.is_empty()).map(str::to_owned)
        });
        let mut reader = Reader::new(environment);
        let source = reader.source();
        let journal_dir = reader.get("SPILLWAY_JOURNAL_DIR").map(PathBuf::from);
        let data_addr = reader.parse("SPILLWAY_DATA_ADDR", loopback);
        let admin_addr = reader.parse("SPILLWAY_ADMIN_ADDR", address);
        let log = reader.parse("SPILLWAY_LOG", levels);
        let drain = reader.parse("SPILLWAY_DRAIN", wait);
        let idle = reader.parse("SPILLWAY_TOKENIZER_IDLE", positive_wait);
        let pod = reader.get("SPILLWAY_POD");
        if let (Some(data), Some(admin)) = (data_addr, admin_addr)
            && data.port() == admin.port()
            && data.port() != 0
        {
            let why = format!("port {} is that of SPILLWAY_DATA_ADDR too; give them two ports", admin.port());
            reader.problem("SPILLWAY_ADMIN_ADDR", Some(admin.to_string()), why);
        }
        match (source, data_addr, admin_addr, log, drain, idle) {
            (Some(source), Some(data_addr), Some(admin_addr), Some(log), Some(drain), Some(tokenizer_idle))
                if reader.problems.is_empty() =>
            {
                Ok(Self { source, journal_dir, data_addr, admin_addr, log, drain, tokenizer_idle, pod, cloud })
            }
            _ => Err(Invalid { problems: reader.problems }),
        }
    }
}

/// The variables as a table for `--help`.
#[must_use]
pub fn help() -> String {
    use fmt::Write as _;
    let mut text = String::from("Environment:\n");
    for Variable { name, default, about } in VARIABLES {
        let default = default.map(|value| format!(" [default: {value}]")).unwrap_or_default();
        writeln!(text, "  {name:<26} {about}{default}").expect("writing to a String cannot fail");
    }
    text
}

// === Reader ===

/// Collects problems, so that one start tells all of them.
struct Reader {
    values: BTreeMap<&'static str, String>,
    problems: Vec<Problem>,
}

impl Reader {
    fn new(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut reader = Self { values: BTreeMap::new(), problems: Vec::new() };
        for (name, value) in environment {
            let Some(variable) = VARIABLES.iter().find(|variable| name == variable.name) else { continue };
            match value.into_string() {
                // A manifest that sets a variable to "" means "the default".
                Ok(value) if value.is_empty() => {}
                Ok(value) => drop(reader.values.insert(variable.name, value)),
                Err(raw) => {
                    let shown = raw.to_string_lossy().into_owned();
                    reader.problem(variable.name, Some(shown), "is not UTF-8; write it in plain text".into());
                }
            }
        }
        reader
    }

    fn problem(&mut self, variable: &'static str, value: Option<String>, why: String) {
        self.problems.push(Problem { variable, value, why });
    }

    fn get(&self, name: &'static str) -> Option<String> {
        let default = VARIABLES.iter().find(|variable| variable.name == name).and_then(|variable| variable.default);
        self.values.get(name).cloned().or(default.map(str::to_owned))
    }

    fn parse<T>(&mut self, name: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let value = self.get(name)?;
        parse(&value).map_err(|why| self.problem(name, Some(value), why)).ok()
    }

    fn source(&mut self) -> Option<Source> {
        match (self.get("SPILLWAY_OPERATOR"), self.get("SPILLWAY_CONFIG_FILE")) {
            (Some(_), None) => {
                let url = self.parse("SPILLWAY_OPERATOR", operator_url);
                if self.get("SPILLWAY_CA_PEM").is_none() {
                    let why = "it is the CA that signed the operator's certificate; the injector sets it".to_owned();
                    self.problem("SPILLWAY_CA_PEM", None, why);
                }
                let ca_pem = self.parse("SPILLWAY_CA_PEM", |pem| certificates(pem).map(|_| pem.to_owned()));
                let token_file = self.get("SPILLWAY_TOKEN_FILE").map(PathBuf::from)?;
                Some(Source::Operator(OperatorSource { url: url?, ca_pem: ca_pem?, token_file }))
            }
            (None, Some(config)) => {
                let credentials = self.get("SPILLWAY_CREDENTIALS_FILE").map(PathBuf::from);
                Some(Source::File { config: config.into(), credentials })
            }
            (Some(_), Some(config)) => {
                let why = "SPILLWAY_OPERATOR is set too; config comes from one of them, unset the other".to_owned();
                self.problem("SPILLWAY_CONFIG_FILE", Some(config), why);
                None
            }
            (None, None) => {
                let why = "config has to come from somewhere: set it, or SPILLWAY_CONFIG_FILE".to_owned();
                self.problem("SPILLWAY_OPERATOR", None, why);
                None
            }
        }
    }
}

// === parsers ===

/// The certificates in a PEM bundle; at least one, or why not.
pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(found) if found.is_empty() => Err("has no certificate; paste the PEM text, not a path".to_owned()),
        Ok(found) => Ok(found),
        Err(error) => Err(format!("is not PEM ({error}); paste the text from -----BEGIN CERTIFICATE----- on")),
    }
}

fn operator_url(value: &str) -> Result<String, String> {
    let form = "write https://HOST:PORT, such as https://spillway.spillway-system.svc:8443";
    let uri = http::Uri::from_str(value).map_err(|error| format!("{error}; {form}"))?;
    if uri.scheme_str() != Some("https") {
        return Err(format!("has to be https, keys travel on it; {form}"));
    }
    if uri.query().is_some() || !matches!(uri.path(), "" | "/") {
        return Err(format!("has a path; {form}"));
    }
    let authority = uri.authority().ok_or_else(|| format!("has no host; {form}"))?;
    if authority.as_str().contains('@') {
        return Err(format!("has user information; {form}"));
    }
    Ok(format!("https://{authority}"))
}

fn address(value: &str) -> Result<SocketAddr, String> {
    value.parse().map_err(|_| "is not an address; write IP:PORT, such as 127.0.0.1:4040 or [::1]:4040".to_owned())
}

/// Whoever reaches the data port spends the provider's key, so it is never opened to the network.
fn loopback(value: &str) -> Result<SocketAddr, String> {
    let address = address(value)?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("is not loopback; write 127.0.0.1:PORT or [::1]:PORT".to_owned())
    }
}

fn levels(value: &str) -> Result<Targets, String> {
    let form = "write error, warn, info, debug, trace or off, or by module: info,hyper=warn";
    // The parser takes a lone word for a module and would log everything it says.
    if value.split(',').any(|part| !part.contains('=') && part.parse::<LevelFilter>().is_err()) {
        return Err(format!("is not a level; {form}"));
    }
    value.parse().map_err(|error| format!("{error}; {form}"))
}

/// A tokenizer that goes at once would be loaded for every count.
fn positive_wait(value: &str) -> Result<Duration, String> {
    let least = Duration::from_millis(100);
    wait(value).and_then(|idle| if idle < least { Err("is shorter than 100ms".to_owned()) } else { Ok(idle) })
}

fn wait(value: &str) -> Result<Duration, String> {
    let form = "write it with units, such as 25s or 1m30s";
    let duration = duration(value).ok_or_else(|| format!("is not a duration; {form}"))?;
    if duration > MAX_WAIT { Err(format!("is longer than 1h; {form}")) } else { Ok(duration) }
}

/// Gateway API durations: up to four whole numbers with the units h, m, s and ms, in any order, each once.
pub(crate) fn duration(value: &str) -> Option<Duration> {
    let mut rest = value;
    let mut total = Duration::ZERO;
    let mut seen = Vec::new();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|at| (1..=5).contains(at))?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let millis = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return None,
        };
        if seen.contains(&unit) {
            return None;
        }
        seen.push(unit);
        total += Duration::from_millis(number.parse::<u64>().ok()? * millis);
        rest = tail;
    }
    (!seen.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests;
