//! One question to whoever gives out tokens: bounded in time and size, never repeated here, never redirected.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use serde::de::DeserializeOwned;
use spillway_providers::fault;

use super::Lack;
use crate::{
    chain::Chain,
    percent::encoded,
    upstream::{
        address::AddressRule,
        connect::{Dialer, Peer},
    },
};

/// How the outside is reached: as the provider's own requests reach it.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) dialer: Dialer,
    pub(crate) proxy: Option<Peer>,
    pub(crate) rule: AddressRule,
    /// The provider itself may be asked in clear, so whoever gives out its tokens may be, too.
    pub(crate) insecure: bool,
}

/// Why there is no token. It goes to the application, so it names hosts, files and what was said, and no secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("{0}")]
    Setup(String),
    #[error(
        "{file} cannot be read: {why} (the cluster mounts it for a ServiceAccount that has an identity at the cloud)"
    )]
    File { file: String, why: String },
    #[error("{0:?} is no https:// address that a token may be asked for at")]
    Address(String),
    #[error(
        "{host} cannot be asked for a token: {why} (the pod must be able to reach it, or the provider's spec.proxy)"
    )]
    Unreachable { host: String, why: String },
    #[error("{host} gives no token now (status {status}): {reason}")]
    Busy { host: String, status: u16, reason: String },
    #[error("{host} gives no token (status {status}): {reason}")]
    Refused { host: String, status: u16, reason: String },
    /// Nothing says who the pod is, so its machine was asked.
    #[error("{0}; for want of another identity of the pod its machine's was asked for, as {why}", why = super::aws::NO_IDENTITY)]
    OfMachine(Box<Self>),
    #[error("what came is no token: {0}")]
    NoToken(String),
    #[error("{host} has given no token within {}ms (is it slow, or does something between it and the pod swallow \
             requests?)", .after.as_millis())]
    Slow { host: String, after: Duration },
}

/// A question in the making.
pub(super) struct Question {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
    /// It goes to a metadata service.
    local: bool,
}

/// For a whole exchange.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Tokens are a few KiB.
const MAX_ANSWER_BYTES: usize = 64 << 10;
const MAX_FILE_BYTES: u64 = 64 << 10;

// === impl Trouble ===

impl Trouble {
    pub(super) const fn lack(&self) -> Lack {
        match self {
            Self::Setup(_) | Self::File { .. } | Self::Address(_) => Lack::Setup,
            Self::Unreachable { .. } | Self::Busy { .. } => Lack::Unreachable,
            Self::Refused { .. } | Self::NoToken(_) => Lack::Refused,
            Self::Slow { .. } => Lack::Slow,
            Self::OfMachine(trouble) => trouble.lack(),
        }
    }
}

// === impl Way ===

impl PartialEq for Way {
    fn eq(&self, other: &Self) -> bool {
        let Self { dialer: _, proxy, rule, insecure } = self;
        (proxy, rule, insecure) == (&other.proxy, &other.rule, &other.insecure)
    }
}

impl Way {
    /// Asks, and reads the JSON of a good answer.
    pub(super) async fn ask<T: DeserializeOwned>(&self, question: Question) -> Result<T, Trouble> {
        let answer = self.ask_text(question).await?;
        // Of an error no more than the place: its text may quote the token.
        let told = |error: serde_json::Error| Trouble::NoToken(format!("no such JSON (column {})", error.column()));
        serde_json::from_slice(&answer).map_err(told)
    }

    /// Asks, and reads a good answer.
    pub(super) async fn ask_text(&self, question: Question) -> Result<Bytes, Trouble> {
        let uri: Uri = question.url.parse().map_err(|_| Trouble::Address(question.url.clone()))?;
        let encrypted = uri.scheme_str() == Some("https");
        let (Some(authority), true) = (uri.authority(), encrypted || question.local || self.insecure) else {
            return Err(Trouble::Address(question.url));
        };
        let port = authority.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let peer = Peer { encrypted, host: authority.host().to_owned(), port };
        let (proxy, rule) =
            if question.local { (None, AddressRule::metadata()) } else { (self.proxy.as_ref(), self.rule.clone()) };
        let unreachable = |why| Trouble::Unreachable { host: peer.host.clone(), why };
        let connected = self.dialer.connect(&peer, proxy, &rule, CONNECT_TIMEOUT).await;
        let mut sender = connected.map_err(|error| unreachable(Chain(&error).to_string()))?;
        let request = question.request(&uri, authority.as_str(), proxy.is_some() && !encrypted);
        let response = sender.send_request(request).await.map_err(|error| unreachable(Chain(&error).to_string()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| unreachable(error.to_string()))?.to_bytes();
        if head.status.is_success() {
            return Ok(body);
        }
        let (host, status, reason) = (peer.host, head.status.as_u16(), reason(&body));
        // Too many ask, or it is down: that is not about who asks.
        let busy = matches!(status, 408 | 429 | 500..);
        Err(if busy { Trouble::Busy { host, status, reason } } else { Trouble::Refused { host, status, reason } })
    }
}

// === impl Question ===

impl Question {
    pub(super) fn get(url: String) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), body: Bytes::new(), local: false }
    }

    pub(super) fn put(url: String) -> Self {
        Self { method: Method::PUT, ..Self::get(url) }
    }

    /// A POST of a form.
    pub(super) fn form(url: String, fields: &[(&str, &str)]) -> Self {
        let body = form(fields).into();
        Self { method: Method::POST, body, ..Self::get(url) }
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
    }

    /// A POST of JSON.
    pub(super) fn json(url: String, body: &serde_json::Value) -> Self {
        let body = body.to_string().into();
        Self { method: Method::POST, body, ..Self::get(url) }
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// To a metadata service: never through a proxy, and to no other address.
    pub(super) fn local(mut self) -> Self {
        self.local = true;
        self
    }

    fn request(self, uri: &Uri, authority: &str, absolute: bool) -> Request<Full<Bytes>> {
        let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = if absolute { uri.clone() } else { target.parse().unwrap_or_default() };
        let headers = request.headers_mut();
        *headers = self.headers;
        let agent = HeaderValue::from_static(concat!("spillway/", env!("CARGO_PKG_VERSION")));
        headers.insert(header::USER_AGENT, agent);
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        if let Ok(host) = HeaderValue::from_str(authority) {
            headers.entry(header::HOST).or_insert(host);
        }
        request
    }
}

/// `a=1&b=x%20y`, as forms and queries have it.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let field = |(name, value): &(&str, &str)| format!("{}={}", encoded(name), encoded(value));
    fields.iter().map(field).collect::<Vec<_>>().join("&")
}

/// A file that the cloud keeps fresh: read anew for each exchange.
pub(super) fn file(path: &Path) -> Result<String, Trouble> {
    use std::io::Read as _;
    let unreadable = |why: String| Trouble::File { file: path.display().to_string(), why };
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text));
    read.map_err(|error| unreadable(error.to_string()))?;
    let text = text.trim();
    if text.is_empty() { Err(unreadable("it is empty".to_owned())) } else { Ok(text.to_owned()) }
}

/// The host that a URL names.
pub(super) fn host(url: &str) -> String {
    let uri: Option<Uri> = url.parse().ok();
    uri.as_ref().and_then(Uri::host).unwrap_or(url).to_owned()
}

/// What a refusal says: Google and Azure in JSON, AWS in XML. Anything else is not quoted.
fn reason(body: &[u8]) -> String {
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let words = serde_json::from_slice::<serde_json::Value>(body).map_or_else(
        |_| {
            let body = String::from_utf8_lossy(body);
            [element(&body, "Code"), element(&body, "Message")].map(|part| part.map(str::to_owned))
        },
        |json| {
            let error = &json["error"];
            let code = text(error).or_else(|| text(&error["status"])).or_else(|| text(&json["code"]));
            [
                code,
                text(&json["error_description"]).or_else(|| text(&error["message"])).or_else(|| text(&json["message"])),
            ]
        },
    );
    let words: Vec<String> = words.into_iter().flatten().collect();
    let said = if words.is_empty() { "it does not say why".to_owned() } else { words.join(": ") };
    // Some repeat what they were sent, which proves who we are for a while.
    fault::shown(&said)
}

/// The text of the first element of this name. What AWS writes has neither attributes nor entities where it is used.
pub(super) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let start = xml.find(&open)? + open.len();
    Some(&xml[start..start + xml[start..].find(&close)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_quoted_in_its_own_words_and_nothing_else_is() {
        let rows = [
            (
                r#"{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}"#,
                "invalid_grant: Invalid JWT Signature.",
            ),
            (
                r#"{"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "no\n  access"}}"#,
                "PERMISSION_DENIED: no access",
            ),
            (r#"{"code": "AccessDenied", "message": "no association"}"#, "AccessDenied: no association"),
            (
                "<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>bad</Message></Error></ErrorResponse>",
                "InvalidIdentityToken: bad",
            ),
            (
                r#"{"error": "invalid_grant", "error_description": "assertion eyJhbGciOi.J9x_y is old"}"#,
                "invalid_grant: assertion [redacted] is old",
            ),
            ("<html>secret</html>", "it does not say why"),
            ("", "it does not say why"),
        ];
        for (body, want) in rows {
            assert_eq!(reason(body.as_bytes()), want, "{body}");
        }
    }

    #[test]
    fn a_form_has_nothing_in_it_that_means_something_else() {
        assert_eq!(form(&[("a", "x y&z=1"), ("b", "https://c/+é")]), "a=x%20y%26z%3D1&b=https%3A%2F%2Fc%2F%2B%C3%A9");
    }

    #[tokio::test]
    async fn nobody_is_asked_in_clear_and_no_metadata_service_by_name_of_a_resource() {
        let way = |insecure| Way { dialer: Dialer::new(), proxy: None, rule: AddressRule::default(), insecure };
        let rows = [
            (false, "http://tokens.example/token", "is no https:// address"),
            (false, "no url", "is no https:// address"),
            (true, "http://169.254.169.254/token", "link-local"),
            (true, "http://127.0.0.1/token", "is not public"),
        ];
        for (insecure, url, want) in rows {
            let asked = way(insecure).ask_text(Question::get(url.to_owned())).await;
            let error = asked.unwrap_err().to_string();
            assert!(error.contains(want), "{url}: {error}");
        }
        let elsewhere = way(true).ask_text(Question::get("http://10.0.0.1/token".to_owned()).local()).await;
        let error = elsewhere.unwrap_err().to_string();
        assert!(error.contains("is no metadata service"), "{error}");
    }
}
