//! Health endpoints: their paths, and the bodies of their answers.

use crate::types::Readiness;

/// A health endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthEndpoint {
    /// `/livez`: the event loop of the process that answers is running.
    Live,
    /// `/readyz` or `/healthz`: the server takes traffic.
    Ready,
    /// `/up`: the same with a JSON body, as clients of Laravel Reverb expect it.
    Up,
}

impl HealthEndpoint {
    /// Finds the endpoint of a path.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        match path {
            "/livez" => Some(Self::Live),
            "/readyz" | "/healthz" => Some(Self::Ready),
            "/up" => Some(Self::Up),
            _ => None,
        }
    }

    /// Returns the state that decides about the answer. A process that answers is alive.
    #[must_use]
    pub fn judge(self, readiness: Readiness) -> Readiness {
        match self {
            Self::Live => Readiness::Ready,
            Self::Ready | Self::Up => readiness,
        }
    }

    /// Returns the content type of the answer.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Live | Self::Ready => "text/plain; charset=utf-8",
            Self::Up => "application/json",
        }
    }

    /// Returns the body of the answer.
    #[must_use]
    pub fn body(self, readiness: Readiness) -> String {
        match (self, readiness) {
            (Self::Live | Self::Ready, _) => format!("{}\n", readiness.word()),
            (Self::Up, Readiness::Ready) => "{\"health\":\"OK\"}".to_owned(),
            (Self::Up, _) => format!("{{\"health\":\"{}\"}}", readiness.word()),
        }
    }
}
