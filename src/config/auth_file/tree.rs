//! Parses YAML into a tree whose nodes know their position and spelling.
//!
//! The tree is built from the events of the parser. Aliases and tags are kept as they are and not
//! resolved, so that the check can reject them.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use zeroize::Zeroizing;

use crate::types::limits::{AUTH_FILE_DEPTH_MAX, AUTH_FILE_NODES_MAX};

/// Error text for a text that is nested too deeply.
const TOO_DEEP: &str = "It is nested too deeply";

/// A value of the file.
#[derive(Debug)]
pub(in crate::config) struct YamlNode {
    /// First line, from 1.
    pub(in crate::config) line: usize,
    /// Last line as the parser reports it. For a list or mapping in block form this is the line of
    /// the next node.
    pub(in crate::config) last_line: usize,
    /// Character range in the text.
    pub(in crate::config) span: Range<usize>,
    /// YAML construct of the value that this file does not allow.
    pub(in crate::config) construct: Option<Construct>,
    pub(in crate::config) kind: NodeKind,
}

#[derive(Debug)]
pub(in crate::config) enum NodeKind {
    Scalar(Zeroizing<String>, Style),
    List(Vec<YamlNode>),
    Mapping(Vec<YamlMember>),
    /// A reference to another value of the file.
    Alias,
}

/// A member: name and value.
#[derive(Debug)]
pub(in crate::config) struct YamlMember {
    pub(in crate::config) name: YamlNode,
    pub(in crate::config) value: YamlNode,
}

/// The style of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Style {
    /// Without quotes. Its meaning depends on its text.
    Plain,
    Quoted,
    /// `|`
    Literal,
    /// `>`
    Folded,
}

/// YAML constructs that this file does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Construct {
    Anchor,
    Alias,
    Tag,
}

/// The reason why a text could not be parsed.
#[derive(Debug)]
pub(in crate::config) struct Broken {
    /// Line, from 1.
    pub(in crate::config) line: usize,
    /// The reason. It repeats nothing of the file.
    pub(in crate::config) why: String,
}

impl YamlNode {
    /// Returns the members of a mapping; empty for other values.
    pub(in crate::config) fn members(&self) -> &[YamlMember] {
        match &self.kind {
            NodeKind::Mapping(members) => members,
            _ => &[],
        }
    }

    /// Returns the value of a member of a mapping.
    pub(in crate::config) fn get(&self, name: &str) -> Option<&Self> {
        let is_it = |member: &&YamlMember| member.name.scalar() == Some(name);
        self.members().iter().find(is_it).map(|member| &member.value)
    }

    /// Returns the text of a scalar.
    pub(in crate::config) fn scalar(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar(text, _) => Some(text),
            _ => None,
        }
    }

    /// Returns the items of a list.
    pub(in crate::config) fn items(&self) -> Option<&[Self]> {
        match &self.kind {
            NodeKind::List(items) => Some(items),
            _ => None,
        }
    }
}

/// Parses a text. The inner None means that it has only comments.
///
/// # Errors
///
/// If it is not YAML, is nested too deeply, is too long, or has more than one document.
pub(in crate::config) fn parse(text: &str) -> Result<Option<YamlNode>, Broken> {
    let mut parser = Parser::new_from_str(text);
    let mut builder = TreeBuilder { open: Vec::new(), root: None, documents: 0, nodes: 0 };
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| broken(&error))?;
        builder.take(event, span)?;
    }
    Ok(builder.root)
}

/// Returns the message of the parser, unless it repeats a part of the file, which may be a secret.
fn broken(error: &ScanError) -> Broken {
    let why = match error.info() {
        // The parser has its own limit for brackets in its lookahead.
        "recursion limit exceeded" => TOO_DEEP,
        info if info.contains(['`', '"']) => "a character that cannot be here",
        info => info,
    };
    Broken { line: error.marker().line(), why: why.to_owned() }
}

/// A list or mapping that is still open.
struct OpenNode {
    node: YamlNode,
    /// In a mapping, the name whose value comes next.
    name: Option<YamlNode>,
}

struct TreeBuilder {
    open: Vec<OpenNode>,
    root: Option<YamlNode>,
    documents: usize,
    nodes: usize,
}

impl TreeBuilder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Broken> {
        let anchored = |anchor: usize, is_tagged: bool| match (anchor, is_tagged) {
            (_, true) => Some(Construct::Tag),
            (0, false) => None,
            (_, false) => Some(Construct::Anchor),
        };
        match event {
            Event::DocumentStart(_) => self.begin(span),
            Event::Alias(_) => self.keep(node(NodeKind::Alias, span, Some(Construct::Alias))),
            Event::Scalar(text, style, anchor, tag) => {
                let kind = NodeKind::Scalar(Zeroizing::new(text.into_owned()), style_of(style));
                self.keep(node(kind, span, anchored(anchor, tag.is_some())))
            }
            Event::SequenceStart(anchor, tag) => {
                let construct = anchored(anchor, tag.is_some());
                self.open(node(NodeKind::List(Vec::new()), span, construct))
            }
            Event::MappingStart(anchor, tag) => {
                let construct = anchored(anchor, tag.is_some());
                self.open(node(NodeKind::Mapping(Vec::new()), span, construct))
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(&mut self, span: Span) -> Result<(), Broken> {
        self.documents += 1;
        if self.documents == 1 {
            return Ok(());
        }
        Err(Broken { line: span.start.line(), why: "a second document starts here".to_owned() })
    }

    fn open(&mut self, node: YamlNode) -> Result<(), Broken> {
        let line = node.line;
        self.open.push(OpenNode { node, name: None });
        let is_too_deep = self.open.len() > AUTH_FILE_DEPTH_MAX;
        if is_too_deep { Err(Broken { line, why: TOO_DEEP.to_owned() }) } else { Ok(()) }
    }

    fn close(&mut self, span: Span) -> Result<(), Broken> {
        let Some(OpenNode { mut node, .. }) = self.open.pop() else { return Ok(()) };
        node.span.end = span.end.index();
        node.last_line = span.end.line();
        self.keep(node)
    }

    /// Adds a value to the open list or mapping.
    fn keep(&mut self, node: YamlNode) -> Result<(), Broken> {
        self.nodes += 1;
        if self.nodes > AUTH_FILE_NODES_MAX {
            let why = format!("it holds more than {AUTH_FILE_NODES_MAX} values");
            return Err(Broken { line: node.line, why });
        }
        let Some(OpenNode { node: parent, name }) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut parent.kind, name.take()) {
            (NodeKind::List(items), _) => items.push(node),
            (NodeKind::Mapping(members), Some(name)) => {
                members.push(YamlMember { name, value: node });
            }
            (_, _) => *name = Some(node),
        }
        Ok(())
    }
}

fn node(kind: NodeKind, span: Span, construct: Option<Construct>) -> YamlNode {
    YamlNode {
        line: span.start.line(),
        last_line: span.end.line(),
        span: span.start.index()..span.end.index(),
        construct,
        kind,
    }
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_know_their_lines() {
        let text = "# comment\nanonymous: a\n\napplications:\n  - key: a\n    secret:\n      long\n  \
                    # between\n  - {key: b,\n     secret: c}\n";
        let tree = parse(text).unwrap().unwrap();
        assert_eq!(tree.get("anonymous").unwrap().line, 2);
        let [one, two] = tree.get("applications").unwrap().items().unwrap() else { panic!() };
        assert_eq!((one.line, two.line), (5, 9));
        assert_eq!(one.get("key").unwrap().line, 5);
        assert_eq!(one.get("secret").unwrap().line, 7);
        assert_eq!(two.get("secret").unwrap().line, 10);
        assert!(two.get("tenant").is_none());
        let secret = two.get("secret").unwrap().span.clone();
        assert_eq!(text.get(secret), Some("c"));
    }

    #[test]
    fn what_the_file_does_not_use_is_marked() {
        let text = "a: &x 1\nb: *x\nc: !!str 1\nd: !t {e: 1}\n'f': \"1\"\n";
        let tree = parse(text).unwrap().unwrap();
        let construct = |name| tree.get(name).unwrap().construct;
        assert_eq!(construct("a"), Some(Construct::Anchor));
        assert_eq!(construct("b"), Some(Construct::Alias));
        assert_eq!(construct("c"), Some(Construct::Tag));
        assert_eq!(construct("d"), Some(Construct::Tag));
        assert_eq!(construct("f"), None);
    }

    #[test]
    fn depth_is_found_in_every_shape() {
        assert!(parse("a: [1]\nb: {c: [2]}\n").is_ok());
        let line = |text: &str| parse(text).unwrap_err().line;
        assert_eq!(line(&format!("a: 1\nb: {}", "[".repeat(33))), 2);
        assert_eq!(line(&"- ".repeat(10_000)), 1);
        assert_eq!(line(&"? ".repeat(10_000)), 1);
        let stairs: String = (0..1000).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
        assert!(parse(&stairs).unwrap_err().why.contains("nested too deeply"));
    }

    #[test]
    fn nothing_is_a_file_without_a_value() {
        for text in ["", "# nothing\n", "\n\n", "---\n", "\u{feff}"] {
            let tree = parse(text).unwrap();
            assert!(tree.is_none_or(|node| node.scalar() == Some("")), "{text:?}");
        }
        assert!(parse("a: 1\n---\nb: 2\n").unwrap_err().why.contains("second document"));
    }
}
