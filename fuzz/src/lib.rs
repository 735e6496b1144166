//! Bodies of the fuzz targets: one module per target, each with a function `run`.
//!
//! They do not depend on the fuzzing engine, so `tests/it/corpora.rs` can replay the committed
//! corpora with a stable compiler. A body panics when a property is violated.

pub mod answer;
pub mod api_body;
pub mod auth_file;
pub mod bloatless;
mod choices;
pub mod client_frames;
pub mod control;
pub mod envelope;
pub mod expression;
mod findings;
pub mod frames;
pub mod gomoob;
pub mod head;
pub mod hixie;
pub mod ini;
pub mod link;
pub mod operations;
pub mod php_session;
pub mod phpws;
pub mod proxy;
pub mod query;
pub mod raw;
pub mod resume_token;
pub mod schema;
mod scratch;
pub mod token;
pub mod trace_parent;
pub mod uuid;
pub mod v1_frames;
