//! A message that is held against a schema: where its values stand, in eight bytes for each.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};

use crate::json::{Hashed, JsonToken, Tokens, count_values, text};
use crate::types::limits::SCHEMA_DEPTH_MAX;

/// The values of a message in the order in which they were written: a list is followed by its items,
/// an object by its names, each followed by its value.
#[derive(Debug)]
pub(super) struct MessageValues<'a> {
    json: &'a str,
    nodes: Vec<ValueNode>,
}

#[derive(Clone, Copy, Debug)]
struct ValueNode {
    /// Where it is written; with [`REPLACED`] a name that comes again later.
    start: u32,
    /// The node that follows all of it; that of a name follows the value.
    after: u32,
}

/// Of one name given twice the last holds.
const REPLACED: u32 = 1 << 31;

/// A value, or a name, of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MessageValue(u32);

impl MessageValue {
    pub(super) const ROOT: Self = Self(0);
}

/// Why a message cannot be looked at.
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
            expects: Expects::Value,
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

    /// How many values and names there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether one value is the other, or stands in it.
    pub(super) fn is_within(&self, inner: MessageValue, outer: MessageValue) -> bool {
        (outer.0..self.node(outer).after).contains(&inner.0)
    }

    /// The first byte of a value, which says what kind it is of.
    pub(super) fn first_byte(&self, value: MessageValue) -> u8 {
        let start = (self.node(value).start & !REPLACED) as usize;
        self.json.as_bytes().get(start).copied().unwrap_or(b'n')
    }

    /// A text, a number or a word as it was written.
    pub(super) fn raw(&self, value: MessageValue) -> &'a str {
        let start = (self.node(value).start & !REPLACED) as usize;
        match Tokens::of(self.json.get(start..).unwrap_or_default()).next() {
            Some(JsonToken::Text(raw) | JsonToken::Word(raw)) => raw,
            _ => "",
        }
    }

    /// Any value as it was written, if that takes at most so many bytes.
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

    /// The items of a list.
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

    /// The names and values of an object, each name once.
    pub(super) fn members(
        &self,
        object: MessageValue,
    ) -> impl Iterator<Item = (MessageValue, MessageValue)> + use<'_, 'a> {
        let is_last = |name: &MessageValue| self.node(*name).start & REPLACED == 0;
        self.items(object).filter(is_last).map(|name| (name, MessageValue(name.0 + 1)))
    }
}

/// What a text will be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expects {
    Name,
    Value,
}

struct MessageParser<'a> {
    json: &'a str,
    nodes: Vec<ValueNode>,
    open: Vec<OpenValue>,
    /// The names of all objects that are open, by their nodes.
    names: Vec<Hashed>,
    expects: Expects,
    /// No client can choose names whose hashes are the same.
    state: RandomState,
}

/// A list or an object that has begun.
struct OpenValue {
    node: usize,
    kind: u8,
    /// Where its names begin.
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
                self.expects = if kind == b'{' { Expects::Name } else { Expects::Value };
            }
            JsonToken::Text(_) if self.expects == Expects::Name => {
                self.names.push(Hashed::new(0, self.next()));
                self.push(start);
                self.expects = Expects::Value;
            }
            JsonToken::Text(_) | JsonToken::Word(_) => {
                self.push(start);
                self.end_value();
            }
            JsonToken::Close(_) => self.close(),
            JsonToken::Comma => {
                let is_object = self.open.last().is_some_and(|open| open.kind == b'{');
                self.expects = if is_object { Expects::Name } else { Expects::Value };
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

    /// A value ends: the name in front of it ends with it.
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

    /// Marks the names of an object that come again.
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

/// Members whose names are compared each with each: fewer steps than hashing them.
const FEW: usize = 8;

fn name_at<'a>(json: &'a str, nodes: &[ValueNode], place: u32) -> Cow<'a, str> {
    let start = nodes.get(place as usize).map_or(0, |node| node.start as usize);
    match Tokens::of(json.get(start..).unwrap_or_default()).next() {
        Some(JsonToken::Text(raw)) => text(raw),
        _ => Cow::Borrowed(""),
    }
}

/// Of names whose hashes are the same marks those that come again; nearly always all are one name.
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

/// What a text or a name says.
pub(super) fn text_of<'a>(message: &MessageValues<'a>, value: MessageValue) -> Cow<'a, str> {
    text(message.raw(value))
}
