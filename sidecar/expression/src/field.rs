//! What an expression can look at: the tables that the ModelRoute's reference is written from.

/// What an expression is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `when` of a backend.
    Request,
    /// `cascade.escalateWhen`.
    Response,
}

/// One field of a subject.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int,
    Text,
    Headers,
}

/// What a field is of one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Bool(bool),
    Int(u64),
    Text(String),
    /// By name in lower case.
    Headers(Vec<(String, String)>),
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind }
}

const REQUEST: &[Field] = &[
    field("tokens", Kind::Int),
    field("maxTokens", Kind::Int),
    field("messages", Kind::Int),
    field("hasTools", Kind::Bool),
    field("hasImages", Kind::Bool),
    field("hasJsonSchema", Kind::Bool),
    field("stream", Kind::Bool),
    field("model", Kind::Text),
    field("user", Kind::Text),
    field("text", Kind::Text),
    field("headers", Kind::Headers),
    field("hour", Kind::Int),
    field("weekday", Kind::Int),
];

const RESPONSE: &[Field] = &[
    field("text", Kind::Text),
    field("refusal", Kind::Bool),
    field("finishReason", Kind::Text),
    field("toolCalls", Kind::Int),
    field("outputTokens", Kind::Int),
    field("schemaValid", Kind::Bool),
];

/// Headers that carry credentials: no policy looks at them.
pub const SECRET_HEADERS: [&str; 7] =
    ["authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-goog-api-key", "x-auth-token"];

// === impl Subject ===

impl Subject {
    /// The one variable an expression has.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }

    #[must_use]
    pub const fn fields(self) -> &'static [Field] {
        match self {
            Self::Request => REQUEST,
            Self::Response => RESPONSE,
        }
    }

    pub(crate) fn field(self, name: &str) -> Option<&'static Field> {
        self.fields().iter().find(|field| field.name == name)
    }
}

// === impl Kind ===

impl Kind {
    /// A value of the kind, to try an expression with.
    pub(crate) fn sample(self, rich: bool, headers: &[String]) -> Value {
        match self {
            Self::Bool => Value::Bool(rich),
            Self::Int => Value::Int(if rich { 12 } else { 0 }),
            Self::Text => Value::Text(if rich { "12".to_owned() } else { String::new() }),
            Self::Headers if rich => Value::Headers(headers.iter().map(|name| (name.clone(), "12".into())).collect()),
            Self::Headers => Value::Headers(Vec::new()),
        }
    }
}
