//! What the fuzz targets do with their bytes: one module a target, each with a function `run`.
//!
//! Nothing in here needs the engine, so `tests/it/corpora.rs` of the crate itself replays the committed
//! corpora with an ordinary compiler. A body panics where a promise is broken.

pub mod answer;
pub mod auth_file;
pub mod bloatless;
mod choices;
pub mod control;
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
pub mod query;
pub mod raw;
pub mod schema;
mod scratch;
pub mod uuid;
