//! Reads a template and reports everything that is wrong with it.

use std::path::{Path, PathBuf};

use super::text::Placeholder;
use super::{
    OpeningStep, PingPong, PublishForm, ServerDialect, ServerTemplate, TemplatePlace, TemplateText,
};
use crate::bench::error::BenchError;
use crate::config::{Diagnostic, Diagnostics, Problem, Title, ValueLocation, parse_ini};

/// A larger file is not a template.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The keys of each section.
const SECTIONS: &[(&str, &[&str])] = &[
    ("server", &["name", "start", "config", "url", "process"]),
    ("open", &["path", "publisher_path", "subprotocol", "header", "frames", "send", "expect"]),
    ("subscribe", &["send", "expect"]),
    ("publish", &["send", "post", "header", "body"]),
    ("receive", &["message", "ping", "pong", "error"]),
];

impl ServerTemplate {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or with everything that is wrong in it.
    pub fn read(file: &Path) -> Result<Self, BenchError> {
        let size = std::fs::metadata(file).map_err(|error| unreadable(file, &error))?.len();
        if size > FILE_BYTES_MAX {
            let why = format!("{} has {size} bytes; a template has at most 1 MiB", file.display());
            return Err(BenchError::Plan(why));
        }
        let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
        let absolute = std::path::absolute(file).map_err(|error| unreadable(file, &error))?;
        let folder = absolute.parent().map(Path::to_owned).unwrap_or_default();
        let mut reader = TemplateReader::new(file, folder);
        reader.read(&text);
        reader.finish()
    }
}

fn unreadable(file: &Path, error: &std::io::Error) -> BenchError {
    BenchError::Plan(format!(
        "{}: {error}; name a template, such as benches/compare/nats.ini",
        file.display()
    ))
}

/// The parts that were read so far.
struct TemplateReader<'a> {
    file: &'a Path,
    folder: PathBuf,
    found: Vec<Diagnostic>,
    name: Option<String>,
    start: Option<String>,
    files: Vec<PathBuf>,
    url: Option<String>,
    process: Option<String>,
    dialect: ServerDialect,
    send: Option<TemplateText>,
    post: Option<TemplateText>,
    post_headers: Vec<String>,
    body: Option<TemplateText>,
    ping: Option<String>,
    pong: Option<String>,
}

impl<'a> TemplateReader<'a> {
    fn new(file: &'a Path, folder: PathBuf) -> Self {
        Self {
            file,
            folder,
            found: Vec::new(),
            name: None,
            start: None,
            files: Vec::new(),
            url: None,
            process: None,
            dialect: ServerDialect::default(),
            send: None,
            post: None,
            post_headers: Vec::new(),
            body: None,
            ping: None,
            pong: None,
        }
    }

    fn read(&mut self, text: &str) {
        let ini = parse_ini(text);
        for (line, fault) in ini.faults {
            self.report_line(line, "", fault);
        }
        for block in ini.blocks {
            let section = match &block.title {
                Title::Named(name) => name.as_str(),
                Title::Top => "",
                Title::Unreadable => continue,
            };
            let Some((section, keys)) = SECTIONS.iter().find(|(name, _)| *name == section) else {
                self.report_section(&block.title, block.line, block.entries.first());
                continue;
            };
            for entry in block.entries {
                let result = match keys.contains(&entry.key.as_str()) {
                    true => self.set(section, &entry.key, &entry.value),
                    false => Err(Problem::new(
                        format!("is not a key of [{section}]"),
                        format!("use {}", keys.join(", ")),
                    )),
                };
                if let Err(problem) = result {
                    self.report_line(entry.line, &entry.key, problem);
                }
            }
        }
    }

    fn report_line(&mut self, line: usize, key: &str, problem: Problem) {
        let place = ValueLocation::Line(self.file.to_owned(), line);
        self.found.push(Diagnostic::new(place, key, problem));
    }

    fn report_section(
        &mut self,
        title: &Title,
        line: usize,
        first: Option<&crate::config::IniEntry>,
    ) {
        let known: Vec<String> = SECTIONS.iter().map(|(name, _)| format!("[{name}]")).collect();
        let right = format!("use {}", known.join(", "));
        match (title, first) {
            (Title::Named(name), _) => {
                self.report_line(
                    line,
                    "",
                    Problem::new(format!("[{name}] is not a section of a template"), right),
                );
            }
            (_, Some(entry)) => {
                let what = "is above the first section";
                self.report_line(entry.line, &entry.key, Problem::new(what, right));
            }
            (_, None) => {}
        }
    }

    fn set(&mut self, section: &str, key: &str, value: &str) -> Result<(), Problem> {
        match (section, key) {
            ("server", _) => self.set_server(key, value),
            ("open", "path") => self.dialect.path = path(value)?,
            ("open", "publisher_path") => self.dialect.publisher_path = Some(path(value)?),
            ("open", "subprotocol") => {
                self.dialect.headers.push(header(&format!("Sec-WebSocket-Protocol: {value}"))?);
            }
            ("open", "header") => self.dialect.headers.push(header(value)?),
            ("open", "frames") => self.dialect.is_binary = is_binary(value)?,
            ("open", _) => self.dialect.open.push(step(key, value)?),
            ("subscribe", _) => self.dialect.subscribe.push(step(key, value)?),
            ("publish", "send") => self.send = Some(TemplateText::parse(value)?),
            ("publish", "post") => self.post = Some(path(value)?),
            ("publish", "header") => self.post_headers.push(header(value)?),
            ("publish", _) => self.body = Some(TemplateText::parse(value)?),
            ("receive", "message") => self.dialect.message = TemplateText::parse(value)?,
            ("receive", "ping") => self.ping = Some(TemplateText::parse(value)?.render("", "")),
            ("receive", "pong") => self.pong = Some(TemplateText::parse(value)?.render("", "")),
            _ => self.dialect.error = Some(value.to_owned()),
        }
        Ok(())
    }

    fn set_server(&mut self, key: &str, value: &str) {
        match key {
            "name" => self.name = Some(value.to_owned()),
            "start" => self.start = Some(value.to_owned()),
            "config" => self.files.push(self.folder.join(value)),
            "url" => self.url = Some(value.to_owned()),
            _ => self.process = Some(value.to_owned()),
        }
    }

    fn finish(mut self) -> Result<ServerTemplate, BenchError> {
        let place = self.place();
        self.dialect.publish = self.publish();
        self.dialect.ping = match (self.ping.take(), self.pong.take()) {
            (Some(ping), Some(pong)) => Some(PingPong { ping, pong }),
            (None, None) => None,
            _ => {
                self.report("[receive] ping", "needs pong, and pong needs ping", "write both");
                None
            }
        };
        self.check_topics();
        if !self.found.is_empty() {
            return Err(BenchError::Template(Diagnostics(self.found)));
        }
        let stem = self.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(ServerTemplate {
            file: self.file.to_owned(),
            folder: self.folder,
            name: self.name.unwrap_or(stem),
            place,
            dialect: self.dialect,
        })
    }

    /// Reports a problem of the file as a whole.
    fn report(&mut self, key: &str, what: &str, right: &str) {
        let place = ValueLocation::File(self.file.to_owned());
        self.found.push(Diagnostic::new(place, key, Problem::new(what, right)));
    }

    fn place(&mut self) -> TemplatePlace {
        match (self.start.take(), self.url.take()) {
            (Some(start), None) => {
                let command = start.split_whitespace().map(str::to_owned).collect();
                TemplatePlace::Started { command, files: std::mem::take(&mut self.files) }
            }
            (None, Some(url)) => TemplatePlace::Running { url, process: self.process.take() },
            (start, _) => {
                let what = if start.is_some() { "is given along with url" } else { "is missing" };
                let right = "write `start = COMMAND {port}`, or `url = ws://HOST:PORT` and \
                             `process = NAME` of a running server";
                self.report("[server] start", what, right);
                TemplatePlace::Running { url: String::new(), process: None }
            }
        }
    }

    fn publish(&mut self) -> PublishForm {
        match (self.send.take(), self.post.take()) {
            (Some(text), None) => PublishForm::Frame(text),
            (None, Some(path)) => PublishForm::Post {
                path,
                headers: std::mem::take(&mut self.post_headers),
                body: self.body.take().unwrap_or_default(),
            },
            (send, _) => {
                let what = if send.is_some() { "is given along with post" } else { "is missing" };
                let right = "write `send = TEXT` to publish by WebSocket, or `post = /PATH` and \
                             `body = TEXT` to publish by HTTP";
                self.report("[publish] send", what, right);
                PublishForm::default()
            }
        }
    }

    /// Checks that each required placeholder is present.
    fn check_topics(&mut self) {
        let dialect = self.dialect.clone();
        if dialect.path == TemplateText::default() {
            self.report("[open] path", "is missing", "write `path = /`");
        }
        let steps = dialect.open.iter().chain(&dialect.subscribe);
        let mut texts = steps.map(|step| match step {
            OpeningStep::Send(text) | OpeningStep::Expect(text) => text,
        });
        let is_topic = |text: &TemplateText| text.has(Placeholder::Topic);
        if !is_topic(&dialect.path) && !texts.any(is_topic) {
            let right = "write it in [open] path or in [subscribe] send";
            self.report("[subscribe] send", "has no {topic}", right);
        }
        let published = match &dialect.publish {
            PublishForm::Frame(text) => vec![text],
            PublishForm::Post { path, body, .. } => vec![path, body],
        };
        for (name, placeholder) in
            [("{topic}", Placeholder::Topic), ("{payload}", Placeholder::Payload)]
        {
            let is_empty = published.iter().all(|text| **text == TemplateText::default());
            if !is_empty && !published.iter().any(|text| text.has(placeholder)) {
                self.report("[publish]", &format!("has no {name}"), "write it where it belongs");
            }
        }
        if !dialect.message.has(Placeholder::Payload) {
            let right = "write `message = {payload}`, with the text that the server adds around it";
            self.report("[receive] message", "has no {payload}", right);
        }
    }
}

fn path(value: &str) -> Result<TemplateText, Problem> {
    let is_path = value.starts_with('/') && !value.contains(char::is_whitespace);
    match is_path {
        true => TemplateText::parse(value),
        false => Err(Problem::new(
            format!("`{value}` is not a path"),
            "begin it with / and use %20 for a blank",
        )),
    }
}

fn header(value: &str) -> Result<String, Problem> {
    let name = value.split_once(':').map(|(name, _)| name).unwrap_or_default();
    let is_name = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    match is_name {
        true => Ok(value.to_owned()),
        false => {
            Err(Problem::new(format!("`{value}` is not a header"), "write `header = Name: value`"))
        }
    }
}

fn is_binary(value: &str) -> Result<bool, Problem> {
    match value {
        "text" => Ok(false),
        "binary" => Ok(true),
        _ => Err(Problem::new(format!("`{value}` is not a form of frames"), "use text or binary")),
    }
}

fn step(key: &str, value: &str) -> Result<OpeningStep, Problem> {
    let text = TemplateText::parse(value)?;
    match key {
        _ if value.is_empty() => Err(Problem::new("is empty", "write a text, or remove the line")),
        "send" => Ok(OpeningStep::Send(text)),
        _ => Ok(OpeningStep::Expect(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::template::RenderedStep;

    const GOOD: &str = "[server]\nstart = server -p {port}\n[open]\npath = /ws\nsend = HELLO\n\
                        expect = OK\n[subscribe]\nsend = 'SUB {topic}'\n[publish]\n\
                        send = 'PUB {topic} {payload}'\n[receive]\nmessage = {payload}\n";

    fn read(text: &str) -> Result<ServerTemplate, String> {
        let mut reader = TemplateReader::new(Path::new("x.ini"), PathBuf::from("."));
        reader.read(text);
        reader.finish().map_err(|error| error.to_string())
    }

    #[test]
    fn a_template_is_read_with_its_steps_in_order() {
        let template = read(GOOD).unwrap();
        assert_eq!(template.name(), "x");
        let steps = template.dialect.steps(Some("t7"));
        let wanted = [
            RenderedStep::Send("HELLO".to_owned()),
            RenderedStep::Expect("OK".to_owned()),
            RenderedStep::Send("SUB t7".to_owned()),
        ];
        assert_eq!(steps, wanted);
        assert_eq!(template.dialect.steps(None).len(), 2);
    }

    #[test]
    fn every_error_names_file_line_key_and_what_is_allowed() {
        for (wrong, right, expected) in [
            ("path = /ws", "path = ws", "x.ini:4: path: `ws` is not a path; begin it with /"),
            ("path = /ws", "pfad = /ws", "x.ini:4: pfad: is not a key of [open]; use path"),
            (
                "[open]",
                "[opened]",
                "x.ini:3: [opened] is not a section of a template; use [server]",
            ),
            ("SUB {topic}", "SUB {topik}", "x.ini:8: send: has the unknown placeholder `{topik}`"),
            ("SUB {topic}", "SUB", "x.ini: [subscribe] send: has no {topic}"),
            ("PUB {topic} {payload}", "PUB {topic}", "x.ini: [publish]: has no {payload}"),
            ("message = {payload}", "message = x", "x.ini: [receive] message: has no {payload}"),
            ("start = server -p {port}", "name = x", "x.ini: [server] start: is missing; write"),
            ("send = HELLO", "header = Hello", "x.ini:5: header: `Hello` is not a header; write"),
            ("send = HELLO", "frames = odd", "x.ini:5: frames: `odd` is not a form of frames"),
            ("send = HELLO", "send = ''", "x.ini:5: send: is empty"),
            ("send = HELLO", "send", "x.ini:5: neither a section, nor a key with a value"),
            ("message =", "ping = x\nmessage =", "x.ini: [receive] ping: needs pong"),
            ("send = 'PUB", "post = /p\nsend = 'PUB", "x.ini: [publish] send: is given along with"),
        ] {
            let error = read(&GOOD.replace(wrong, right)).unwrap_err();
            assert!(error.contains(expected), "{right}: {error}");
        }
        let error = read("start = x\n").unwrap_err();
        assert!(error.contains("x.ini:1: start: is above the first section"), "{error}");
    }
}
