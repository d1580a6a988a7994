//! Which headers a provider's requests get, and which they may not.

use spillway_crds::HeaderRules;
use spillway_wire as wire;

use super::Draft;

/// Headers that the sidecar writes itself, that say how a connection is used, or that carry keys.
const OWN_HEADERS: [&str; 18] = [
    "accept-encoding",
    "api-key",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
    "x-goog-api-key",
];

// === impl Draft ===

impl Draft<'_> {
    pub(super) fn headers(&mut self, rules: HeaderRules) -> wire::Headers {
        let HeaderRules { set, remove } = rules;
        let mut wanted = wire::Headers::default();
        for (name, value) in set {
            let path = format!("spec.headers.set.{name}");
            let lower = name.to_ascii_lowercase();
            if let Some(why) = header_problem(&lower) {
                self.invalid(path, why);
            } else if !value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') || value.len() > 4096 {
                self.invalid(path, "is not printable ASCII of at most 4096 bytes, which is all a header carries");
            } else if wanted.set.insert(lower.clone(), value.trim().to_owned()).is_some() {
                self.invalid(path, format!("{lower} is set twice: names of headers have no upper and lower case"));
            }
        }
        for (index, name) in remove.into_iter().enumerate() {
            let path = format!("spec.headers.remove[{index}]");
            let lower = name.to_ascii_lowercase();
            if let Some(why) = header_problem(&lower) {
                self.invalid(path, why);
            } else if wanted.set.contains_key(&lower) {
                self.invalid(path, format!("{lower} is also set: keep one of the two"));
            } else {
                wanted.remove.push(lower);
            }
        }
        wanted.remove.sort_unstable();
        wanted.remove.dedup();
        wanted
    }
}

/// Why a header, in lower case, may not be set or removed.
fn header_problem(name: &str) -> Option<String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > 128 || !name.bytes().all(token) {
        return Some(format!("{name:?} is not the name of a header"));
    }
    let keys = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];
    if keys.contains(&name) {
        return Some(format!(
            "{name} carries the key: put it into a Secret and name that in spec.credentials.secretRef"
        ));
    }
    OWN_HEADERS.contains(&name).then(|| format!("{name} is written by the sidecar itself"))
}
