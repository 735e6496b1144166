//! Formats one event as one line: text, JSON or the format of phpWebSocketServer. A line never
//! exceeds the bytes that a pipe writes atomically.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use super::utc::Utc;
use crate::types::word_choices;

/// Bytes that Linux writes to a pipe atomically (`PIPE_BUF`), so that lines of several processes
/// never mix.
pub const LINE_BYTES_MAX: usize = 4096;

/// Maximum bytes of one field value in a line.
const VALUE_BYTES_MAX: usize = 1024;
/// Maximum bytes of the message. Our messages are short; messages of libraries may be longer and
/// are cut.
const MESSAGE_BYTES_MAX: usize = 384;
/// Bytes reserved after the last field for the truncation mark, the count of lost lines and the
/// line break.
const TAIL_BYTES: usize = 64;

word_choices! {
    /// The format of log lines.
    LogFormat {
        /// `2026-11-21T01:02:03.456Z INFO  worker 1: connection opened connection=12`
        Text = "text",
        /// One JSON object with `time`, `level`, `process`, `message` and the fields.
        Json = "json",
        /// The format of phpWebSocketServer, with CRLF: `Sat, 21 Nov 2026 01:02:03 +0000;connection
        /// opened connection=12`
        Phpws = "phpws",
    }
}

/// The contents of one `tracing` event.
#[derive(Debug)]
pub(super) struct LogEntry {
    level: Level,
    message: String,
    fields: Vec<(&'static str, FieldValue)>,
}

#[derive(Debug)]
enum FieldValue {
    /// A number or a boolean; its text is valid JSON.
    Bare(String),
    Words(String),
}

impl LogEntry {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let level = *event.metadata().level();
        let mut entry = Self { level, message: String::new(), fields: Vec::new() };
        event.record(&mut entry);
        entry
    }

    /// Returns the line with its line break. `lost` is the number of lines before it that were not
    /// written.
    pub(super) fn line(&self, process: &str, format: LogFormat, lost: u64) -> String {
        let now = Utc::now();
        match format {
            LogFormat::Text => self.text(now, process, lost),
            LogFormat::Json => self.json(now, process, lost),
            LogFormat::Phpws => self.phpws(now, lost),
        }
    }

    fn text(&self, now: Utc, process: &str, lost: u64) -> String {
        let mut line = format!("{now} {:<5} {process}: ", self.level.as_str());
        self.add_words(&mut line, lost);
        line.push('\n');
        line
    }

    /// Formats the line without level and process, because programs that parse this format expect
    /// only a date and a text.
    fn phpws(&self, now: Utc, lost: u64) -> String {
        let mut line = format!("{};", now.rfc_2822());
        self.add_words(&mut line, lost);
        line.push_str("\r\n");
        line
    }

    /// Appends the message and its fields as text.
    fn add_words(&self, line: &mut String, lost: u64) {
        escape(line, &self.message);
        self.add_fields(line, " …", |line, name, value| {
            let _infallible = write!(line, " {name}=");
            match value {
                FieldValue::Bare(text) => line.push_str(text),
                FieldValue::Words(text) if is_one_word(text) => line.push_str(text),
                FieldValue::Words(text) => line.push_str(&json_text(text)),
            }
        });
        if lost > 0 {
            let _infallible = write!(line, " lost_lines={lost}");
        }
    }

    fn json(&self, now: Utc, process: &str, lost: u64) -> String {
        let (level, process) = (self.level.as_str().to_ascii_lowercase(), json_text(process));
        let mut line = format!(
            r#"{{"time":"{now}","level":"{level}","process":{process},"message":{}"#,
            json_text(&self.message)
        );
        self.add_fields(&mut line, r#","cut":true"#, |line, name, value| {
            let _infallible = write!(line, ",{}:", json_text(name));
            match value {
                FieldValue::Bare(text) => line.push_str(text),
                FieldValue::Words(text) => line.push_str(&json_text(text)),
            }
        });
        if lost > 0 {
            let _infallible = write!(line, r#","lost_lines":{lost}"#);
        }
        line.push_str("}\n");
        line
    }

    /// Appends the fields that fit, each of them whole, and a `cut` mark if any field is left out.
    fn add_fields(
        &self,
        line: &mut String,
        cut: &str,
        add: impl Fn(&mut String, &str, &FieldValue),
    ) {
        for (name, value) in &self.fields {
            let before = line.len();
            add(line, name, value);
            if line.len() > LINE_BYTES_MAX - TAIL_BYTES {
                line.truncate(before);
                line.push_str(cut);
                return;
            }
        }
    }

    fn keep(&mut self, field: &Field, value: FieldValue) {
        match (field.name(), value) {
            ("message", FieldValue::Bare(mut text) | FieldValue::Words(mut text)) => {
                text.truncate(text.floor_char_boundary(MESSAGE_BYTES_MAX));
                self.message = text;
            }
            (name, value) => self.fields.push((name, value)),
        }
    }
}

impl Visit for LogEntry {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = BoundedWriter(String::new());
        // An error means that the text reached its limit. The text up to the limit is used.
        let _full = write!(text, "{value:?}");
        self.keep(field, FieldValue::Words(text.0));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let mut text = BoundedWriter(String::new());
        let _full = text.write_str(value);
        self.keep(field, FieldValue::Words(text.0));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, FieldValue::Bare(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, FieldValue::Bare(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, FieldValue::Bare(value.to_string()));
    }
}

/// A string with a size limit, so that one log line never formats megabytes.
struct BoundedWriter(String);

impl Write for BoundedWriter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = VALUE_BYTES_MAX - self.0.len().min(VALUE_BYTES_MAX);
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        let end = text.floor_char_boundary(room);
        self.0.push_str(text.get(..end).unwrap_or_default());
        self.0.push('…');
        Err(fmt::Error)
    }
}

fn is_one_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| !c.is_whitespace() && !is_unsafe(c) && c != '"')
}

/// Returns true for characters that could forge a log line or control the terminal of a reader.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(line: &mut String, text: &str) {
    for c in text.chars() {
        if is_unsafe(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
}

/// Returns a JSON string that also escapes unsafe characters that JSON itself allows.
fn json_text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if is_unsafe(c) => {
                let _infallible = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
