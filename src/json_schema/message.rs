//! A message that is checked against a schema. It stores the position of each value in eight bytes.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};

use crate::json::{Hashed, JsonToken, Tokens, count_values, text};
use crate::types::limits::SCHEMA_DEPTH_MAX;

/// The values of a message in the order of its text. A list is followed by its items. An object is
/// followed by its names, each of which is followed by its value.
#[derive(Debug)]
pub(super) struct MessageValues<'a> {
    json: &'a str,
    nodes: Vec<ValueNode>,
}

#[derive(Clone, Copy, Debug)]
struct ValueNode {
    /// Offset in the text. The bit [`REPLACED`] marks a name that occurs again later.
    start: u32,
    /// Index of the first node after this value. For a name, the first node after its value.
    after: u32,
}

/// Marks a name that occurs again in the same object. The last occurrence wins.
const REPLACED: u32 = 1 << 31;

/// A value or a member name of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MessageValue(u32);

impl MessageValue {
    pub(super) const ROOT: Self = Self(0);
}

/// The reason why a message cannot be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnreadableMessage {
    NotJson,
    TooDeep,
    TooLong,
}

impl<'a> MessageValues<'a> {
    pub(super) fn read(json: &'a str) -> Result<Self, UnreadableMessage> {
        let count = count_values(json).map_err(|_| UnreadableMessage::NotJson)?;
        if json.len() >= REPLACED as usize {
            return Err(UnreadableMessage::TooLong);
        }
        let mut reading = MessageParser {
            json,
            nodes: Vec::with_capacity(count),
            open: Vec::new(),
            names: Vec::new(),
            expects_name: false,
            state: RandomState::new(),
        };
        let mut tokens = Tokens::of(json);
        while let Some(token) = tokens.next() {
            reading.take(token, tokens.place() - token.bytes())?;
        }
        Ok(Self { json, nodes: reading.nodes })
    }

    fn node(&self, MessageValue(place): MessageValue) -> ValueNode {
        let none = ValueNode { start: 0, after: u32::MAX };
        self.nodes.get(place as usize).copied().unwrap_or(none)
    }

    /// Returns the number of values and names.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns true if `inner` is `outer` or is contained in it.
    pub(super) fn is_within(&self, inner: MessageValue, outer: MessageValue) -> bool {
        (outer.0..self.node(outer).after).contains(&inner.0)
    }

    /// Returns the first byte of a value, which determines its type.
    pub(super) fn first_byte(&self, value: MessageValue) -> u8 {
        let start = (self.node(value).start & !REPLACED) as usize;
        self.json.as_bytes().get(start).copied().unwrap_or(b'n')
    }

    /// Returns a string, number, boolean or null as it is written.
    pub(super) fn raw(&self, value: MessageValue) -> &'a str {
        let start = (self.node(value).start & !REPLACED) as usize;
        match Tokens::of(self.json.get(start..).unwrap_or_default()).next() {
            Some(JsonToken::Text(raw) | JsonToken::Word(raw)) => raw,
            _ => "",
        }
    }

    /// Returns the text of any value if it has at most `bytes_max` bytes.
    pub(super) fn short(&self, value: MessageValue, bytes_max: usize) -> Option<&'a str> {
        let start = (self.node(value).start & !REPLACED) as usize;
        let rest = self.json.get(start..)?;
        let (mut depth, mut tokens) = (0_usize, Tokens::of(rest));
        loop {
            match tokens.next()? {
                JsonToken::Open(_) => depth += 1,
                JsonToken::Close(_) => depth = depth.saturating_sub(1),
                _ => {}
            }
            if tokens.place() > bytes_max {
                return None;
            }
            if depth == 0 {
                return rest.get(..tokens.place());
            }
        }
    }

    /// Returns the items of a list.
    pub(super) fn items(
        &self,
        list: MessageValue,
    ) -> impl Iterator<Item = MessageValue> + use<'_, 'a> {
        let end = self.node(list).after;
        let mut next = list.0 + 1;
        std::iter::from_fn(move || {
            let item = MessageValue(next);
            (next < end).then(|| {
                next = self.node(item).after;
                item
            })
        })
    }

    /// Returns the names and values of an object. Each name occurs once.
    pub(super) fn members(
        &self,
        object: MessageValue,
    ) -> impl Iterator<Item = (MessageValue, MessageValue)> + use<'_, 'a> {
        let is_last = |name: &MessageValue| self.node(*name).start & REPLACED == 0;
        self.items(object).filter(is_last).map(|name| (name, MessageValue(name.0 + 1)))
    }
}

struct MessageParser<'a> {
    json: &'a str,
    nodes: Vec<ValueNode>,
    open: Vec<OpenValue>,
    /// The names of all objects that are still open, with their nodes.
    names: Vec<Hashed>,
    /// The next string is a name, not a value.
    expects_name: bool,
    /// Randomly seeded, so that clients cannot choose names with equal hashes.
    state: RandomState,
}

/// A list or object that is still open.
struct OpenValue {
    node: usize,
    kind: u8,
    /// Index of its first name in `names`.
    names: usize,
}

impl MessageParser<'_> {
    fn take(&mut self, token: JsonToken<'_>, start: usize) -> Result<(), UnreadableMessage> {
        let start = u32::try_from(start).map_err(|_| UnreadableMessage::TooLong)?;
        match token {
            JsonToken::Open(kind) => {
                if self.open.len() >= SCHEMA_DEPTH_MAX {
                    return Err(UnreadableMessage::TooDeep);
                }
                self.open.push(OpenValue { node: self.nodes.len(), kind, names: self.names.len() });
                self.push(start);
                self.expects_name = kind == b'{';
            }
            JsonToken::Text(_) if self.expects_name => {
                self.names.push(Hashed::new(0, self.next()));
                self.push(start);
                self.expects_name = false;
            }
            JsonToken::Text(_) | JsonToken::Word(_) => {
                self.push(start);
                self.end_value();
            }
            JsonToken::Close(_) => self.close(),
            JsonToken::Comma => {
                self.expects_name = self.open.last().is_some_and(|open| open.kind == b'{');
            }
            JsonToken::Colon => {}
        }
        Ok(())
    }

    fn next(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    fn push(&mut self, start: u32) {
        let after = self.next().saturating_add(1);
        self.nodes.push(ValueNode { start, after });
    }

    /// Closes a value and the name before it.
    fn end_value(&mut self) {
        let next = self.next();
        let Some(open) = self.open.last().filter(|open| open.kind == b'{') else { return };
        let name = self.names.get(open.names..).and_then(<[_]>::last);
        if let Some(node) = name.and_then(|name| self.nodes.get_mut(name.place() as usize)) {
            node.after = next;
        }
    }

    fn close(&mut self) {
        let next = self.next();
        let Some(OpenValue { node, names, .. }) = self.open.pop() else { return };
        if let Some(node) = self.nodes.get_mut(node) {
            node.after = next;
        }
        self.replace(names);
        self.names.truncate(names);
        self.end_value();
    }

    /// Marks the names of an object that occur again later.
    fn replace(&mut self, first: usize) {
        let Self { json, nodes, names, state, .. } = self;
        let names = names.get_mut(first..).unwrap_or_default();
        if names.len() > FEW {
            for name in &mut *names {
                *name = name.with(state.hash_one(name_at(json, nodes, name.place())));
            }
            names.sort_unstable();
        }
        if names.len() > 1 {
            let alike = names.chunk_by(Hashed::is_like);
            alike.for_each(|alike| mark(json, nodes, alike));
        }
    }
}

/// Up to this number of members, comparing all names with each other takes fewer steps than hashing
/// them.
const FEW: usize = 8;

fn name_at<'a>(json: &'a str, nodes: &[ValueNode], place: u32) -> Cow<'a, str> {
    let start = nodes.get(place as usize).map_or(0, |node| node.start as usize);
    match Tokens::of(json.get(start..).unwrap_or_default()).next() {
        Some(JsonToken::Text(raw)) => text(raw),
        _ => Cow::Borrowed(""),
    }
}

/// Marks the names that occur again later, among names with equal hashes. Nearly always these are
/// all the same name.
fn mark(json: &str, nodes: &mut [ValueNode], alike: &[Hashed]) {
    let Some((last, others)) = alike.split_last().filter(|(_, others)| !others.is_empty()) else {
        return;
    };
    let kept = name_at(json, nodes, last.place());
    let mut different = Vec::new();
    for name in others {
        if name_at(json, nodes, name.place()) != kept {
            different.push(*name);
        } else if let Some(node) = nodes.get_mut(name.place() as usize) {
            node.start |= REPLACED;
        }
    }
    mark(json, nodes, &different);
}

/// Returns the decoded text of a string or name.
pub(super) fn text_of<'a>(message: &MessageValues<'a>, value: MessageValue) -> Cow<'a, str> {
    text(message.raw(value))
}
