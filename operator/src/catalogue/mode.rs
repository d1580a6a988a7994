//! What a model does.

use std::fmt;

/// What a model is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    #[default]
    Chat,
    Responses,
    Completion,
    Embedding,
    Rerank,
    Moderation,
    Image,
    Speech,
    Transcription,
}

const ALL: [Mode; 9] = [
    Mode::Chat,
    Mode::Responses,
    Mode::Completion,
    Mode::Embedding,
    Mode::Rerank,
    Mode::Moderation,
    Mode::Image,
    Mode::Speech,
    Mode::Transcription,
];

// === impl Mode ===

impl Mode {
    /// As it is written in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Completion => "completion",
            Self::Embedding => "embedding",
            Self::Rerank => "rerank",
            Self::Moderation => "moderation",
            Self::Image => "image",
            Self::Speech => "speech",
            Self::Transcription => "transcription",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        ALL.into_iter().find(|mode| mode.as_str() == name)
    }

    /// All names, for messages.
    #[must_use]
    pub fn names() -> String {
        ALL.map(Self::as_str).join(", ")
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
