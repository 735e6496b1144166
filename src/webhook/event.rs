//! Events as the JSON that a backend receives.

use std::borrow::Cow;
use std::fmt::Write;

use crate::http::{has_members, has_parameter};
use crate::json::push_text;
use crate::types::{ClientFilter, Ident, Tags};

/// Finished event, ready to be sent to a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRequest {
    /// Event name: `open`, `message`, `close`, `error`, `who` or `tick`.
    pub event: &'static str,
    /// Request body: the event as JSON.
    pub body: String,
}

/// Data that a resource keeps for each of its clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientRecord {
    /// Origin and request of the client (`peer`, `path`, `query`, `headers`, `protocol`), as JSON
    /// members without the braces.
    pub came: Box<str>,
    /// Identity of the client as JSON, if the backend supplied it in `accept`.
    pub user: Option<Box<str>>,
}

/// Builder of an event. Each method appends one member or more.
#[derive(Debug)]
pub struct WebhookEvent {
    name: &'static str,
    json: String,
}

impl WebhookEvent {
    /// Starts an event of a resource.
    #[must_use]
    pub fn new(name: &'static str, resource: &str) -> Self {
        let mut event = Self { name, json: String::with_capacity(256) };
        event.json.push('{');
        event.text("event", name);
        event.text("resource", resource);
        event
    }

    /// Adds a string member.
    pub fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        push_text(value, &mut self.json);
    }

    /// Adds a numeric member.
    pub fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        // Writing to a string cannot fail.
        let _written = write!(self.json, "{value}");
    }

    /// Adds a member whose value is JSON already.
    pub fn raw(&mut self, name: &str, json: &str) {
        self.name(name);
        self.json.push_str(json);
    }

    /// Adds a member whose value is a list of strings.
    pub fn texts<'t>(&mut self, name: &str, values: impl Iterator<Item = &'t str>) {
        self.name(name);
        self.json.push('[');
        for (place, value) in values.enumerate() {
            if place > 0 {
                self.json.push(',');
            }
            push_text(value, &mut self.json);
        }
        self.json.push(']');
    }

    /// Adds the member `tags`, an object of names and values.
    pub fn tags(&mut self, tags: &Tags) {
        self.name("tags");
        self.json.push_str(&object(tags.iter().map(|tag| (tag.name(), tag.value()))));
    }

    /// Adds the member `asked`, which repeats a presence query.
    pub fn asked(&mut self, query: &ClientFilter, tag: &str) {
        self.name("asked");
        let mut asked = Self { name: "", json: "{".to_owned() };
        match query {
            ClientFilter::Tags(query) => {
                asked.raw("tags", &object(query.iter().map(|tag| (tag.name(), tag.value()))));
            }
            ClientFilter::Expression(expression) => asked.text("expr", expression.canonical()),
        }
        asked.text("tag", tag);
        self.json.push_str(&asked.post().body);
    }

    /// Adds the members that identify the client of the event.
    pub fn client(
        &mut self,
        uuid: &str,
        ident: Option<&Ident>,
        tags: &Tags,
        record: &ClientRecord,
    ) {
        self.text("uuid", uuid);
        match ident {
            Some(ident) => self.text("ident", ident.as_str()),
            None => self.raw("ident", "null"),
        }
        self.tags(tags);
        self.raw("user", record.user.as_deref().unwrap_or("null"));
        if !record.came.is_empty() {
            self.json.push(',');
            self.json.push_str(&record.came);
        }
    }

    /// Returns the finished event.
    #[must_use]
    pub fn post(mut self) -> WebhookRequest {
        self.json.push('}');
        WebhookRequest { event: self.name, body: self.json }
    }

    fn name(&mut self, name: &str) {
        if !self.json.ends_with('{') {
            self.json.push(',');
        }
        push_text(name, &mut self.json);
        self.json.push(':');
    }
}

impl ClientRecord {
    /// Collects the data of a new client: its address, path, query, headers and subprotocol. `user`
    /// is not set.
    #[must_use]
    pub fn new<'t>(
        peer: &str,
        path: &str,
        query: &str,
        headers: impl Iterator<Item = (&'t str, Cow<'t, str>)>,
        protocol: Option<&str>,
    ) -> Self {
        let mut event = WebhookEvent { name: "", json: "{".to_owned() };
        event.text("peer", peer);
        event.text("path", path);
        event.text("query", &without_secret(query));
        event.raw("headers", &headers_json(headers));
        match protocol {
            Some(protocol) => event.text("protocol", protocol),
            None => event.raw("protocol", "null"),
        }
        let came = event.json.strip_prefix('{').unwrap_or_default();
        Self { came: came.into(), user: None }
    }
}

/// Removes the parameters that contain a secret from a query string.
#[must_use]
pub fn without_secret(query: &str) -> Cow<'_, str> {
    let is_secret = |text: &str| has_parameter(text, "secret") || has_members(text, "secret");
    if !is_secret(query) {
        return Cow::Borrowed(query);
    }
    let pairs = query.split('&').filter(|pair| !is_secret(pair));
    Cow::Owned(pairs.collect::<Vec<_>>().join("&"))
}

/// Formats headers as a JSON object with lower-case names. Headers with the same name are joined as
/// in RFC 9110 §5.3.
#[must_use]
pub fn headers_json<'t>(headers: impl Iterator<Item = (&'t str, Cow<'t, str>)>) -> String {
    let mut all: Vec<(String, Cow<'t, str>)> = Vec::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        // RFC 6265 §5.4: cookies are joined by a semicolon instead of a comma.
        let separator = if name == "cookie" { "; " } else { ", " };
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => *values = Cow::Owned(format!("{values}{separator}{value}")),
            None => all.push((name, value)),
        }
    }
    object(all.iter().map(|(name, value)| (name.as_str(), value.as_ref())))
}

fn object<'t>(members: impl Iterator<Item = (&'t str, &'t str)>) -> String {
    let mut json = "{".to_owned();
    for (place, (name, value)) in members.enumerate() {
        if place > 0 {
            json.push(',');
        }
        push_text(name, &mut json);
        json.push(':');
        push_text(value, &mut json);
    }
    json.push('}');
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Tag;
    use serde_json::{Value, json};

    #[test]
    fn an_event_identifies_its_client() {
        let headers =
            [("Host", "h"), ("X-A", "1"), ("x-a", "\"2\""), ("Cookie", "a=b"), ("cookie", "c=d")];
        let query = "key=k&secret=s&%73ecret=t&secret[]=u&x=y";
        let mut record = ClientRecord::new(
            "127.0.0.1:5",
            "/chat",
            query,
            headers.into_iter().map(|(name, value)| (name, value.into())),
            Some("Chat"),
        );
        record.user = Some(r#"{"id":7}"#.into());
        let tags = Tags::new([Tag::new("room", "h\u{e9}").unwrap()]).unwrap();
        let mut event = WebhookEvent::new("message", "/chat");
        event.client("u-1", None, &tags, &record);
        event.text("text", "say \"hi\"\n");
        let post = event.post();
        assert_eq!(post.event, "message");
        let expected = json!({
            "event": "message", "resource": "/chat", "uuid": "u-1", "ident": null,
            "tags": { "room": "h\u{e9}" }, "user": { "id": 7 }, "peer": "127.0.0.1:5",
            "path": "/chat", "query": "key=k&x=y",
            "headers": { "host": "h", "x-a": "1, \"2\"", "cookie": "a=b; c=d" },
            "protocol": "Chat", "text": "say \"hi\"\n",
        });
        assert_eq!(serde_json::from_str::<Value>(&post.body).unwrap(), expected);
    }

    #[test]
    fn an_event_without_a_client_is_json_too() {
        let mut event = WebhookEvent::new("who", "/chat");
        event.number("clients", 2);
        event.texts("values", ["a", "b"].into_iter());
        let expected = r#"{"event":"who","resource":"/chat","clients":2,"values":["a","b"]}"#;
        assert_eq!(event.post().body, expected);
        let mut event = WebhookEvent::new("close", "/chat");
        event.client(
            "u",
            Ident::new("me").ok().as_ref(),
            &Tags::default(),
            &ClientRecord::default(),
        );
        assert!(serde_json::from_str::<Value>(&event.post().body).is_ok());
    }
}
