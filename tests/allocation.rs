//! The cost of one message: peak memory and time of hostile messages of 2 MiB, for all code that
//! reads input of clients, scripts and backends.
//!
//! Memory is measured in bytes per byte of the message. Time is measured in plain reads of the same
//! bytes, so a slow or busy machine does not change the result.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test may stop")]
#![allow(clippy::disallowed_methods, reason = "it measures")]

use std::borrow::Cow;
use std::hint::black_box;

use peak_alloc::PeakAlloc;
use tagcast::json_schema::Schema;
use tagcast::protocol::bloatless;
use tagcast::protocol::bloatless::push;
use tagcast::protocol::gomoob;
use tagcast::protocol::gomoob::{GomoobMessages, typed};
use tagcast::protocol::php_json::{Objects, reencoded};
use tagcast::protocol::{Cast, Protocol, phpws, tags};
use tagcast::types::{Content, PayloadForm};
use tagcast::webhook::parse;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes of each message. With them the whole test takes a debug build ten seconds. Messages of the
/// maximum size give the same quotients.
const BYTES: usize = 2 * 1024 * 1024;

/// One plain read: it reads every byte in order and does nothing else.
fn plain_look(text: &str) -> u64 {
    text.bytes().fold(0, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()))
}

struct Case {
    name: &'static str,
    text: String,
    look: fn(&str),
    /// Peak bytes per byte of the message, without the message itself.
    memory_max: usize,
}

/// Maximum time in plain reads of the message. A release build stays far below it, a debug build
/// near it.
const LOOKS_MAX: f64 = 60.0;

/// Plain reads that are timed together.
const UNITS: u32 = 10;

/// Fills a message with pieces, each made from its number.
fn filled(head: &str, piece: impl Fn(usize) -> String, tail: &str) -> String {
    let mut text = String::with_capacity(BYTES + 1024);
    text.push_str(head);
    let mut number = 0;
    while text.len() < BYTES {
        if number > 0 {
            text.push(',');
        }
        text.push_str(&piece(number));
        number += 1;
    }
    text.push_str(tail);
    text
}

fn same(piece: &'static str) -> impl Fn(usize) -> String {
    move |_| piece.to_owned()
}

fn packet(text: &str) {
    let packet = phpws::parse(text).unwrap();
    black_box((packet.registered(), packet.loose_names(), packet.message()));
}

fn stripped(text: &str) {
    black_box(phpws::without_credentials(text));
}

fn request(text: &str) {
    let _request = black_box(gomoob::parse_with(text, GomoobMessages::Typed));
}

fn as_php(text: &str) {
    drop(black_box(reencoded(text, Objects::Objects)));
}

fn as_php_arrays(text: &str) {
    drop(black_box(reencoded(text, Objects::Arrays)));
}

fn rebuilt(text: &str) {
    let _made = black_box(typed::rebuilt(text));
}

fn opened(text: &str) {
    let _tags = black_box(tags::of_opening(text));
}

fn answer(text: &str) {
    let _commands = black_box(parse(text.as_bytes()));
}

fn bloatless_packet(text: &str) {
    if let Some(packet) = black_box(bloatless::parse(text)) {
        black_box(bloatless::as_text(packet.data));
    }
    let _pushed = black_box(push::parse(text.as_bytes()));
}

fn rendered(form: PayloadForm, text: &str) {
    let content = Content { form, payload: text.as_bytes() };
    for dialect in [Protocol::Phpws, Protocol::Gomoob, Protocol::Plain, Protocol::Bloatless] {
        black_box(dialect.render(content.borrowed(), Cast::Many));
    }
}

fn case(name: &'static str, text: String, look: fn(&str), memory_max: usize) -> Case {
    Case { name, text, look, memory_max }
}

fn many_objects() -> String {
    filled(r#"{"opcode":"uuid","message":"u","x":["#, same(r#"{"":0}"#), "]}")
}

fn deep(open: &str, close: &str) -> String {
    let depth = BYTES / (open.len() + close.len());
    format!("{}1{}", open.repeat(depth), close.repeat(depth))
}

fn escapes(head: &str, piece: &str, tail: &str) -> String {
    format!("{head}{}{tail}", piece.repeat(BYTES / piece.len()))
}

fn packets() -> Vec<Case> {
    let equal = filled("{", same(r#""opcode":"uuid""#), "}");
    let escaped = filled("{", same(r#""\u006fpcode":"\u0075uid""#), "}");
    let long = escapes(r#"{"opcode":"uuid","message":""#, r"\u00e9", r#""}"#);
    let number = format!("{{\"ident\":{}}}", "9".repeat(BYTES));
    let members = filled("{", |it| format!("\"{it:x}\":0"), "}");
    vec![
        case("packet with many objects", many_objects(), packet, 1),
        case("packet with many objects, stripped", many_objects(), stripped, 2),
        case("packet as deep as it is long", deep(r#"{"":"#, "}"), packet, 1),
        case("packet with equal opcodes", equal, packet, 1),
        case("packet with escaped names", escaped, packet, 1),
        case("packet with many members", members, stripped, 2),
        case("packet with a long escaped text", long, packet, 2),
        case("packet with a long number", number, packet, 3),
    ]
}

fn requests() -> Vec<Case> {
    let tags = |piece: &dyn Fn(usize) -> String| filled(r#"{"message":"m","tags":{"#, piece, "}}");
    let listed = filled(r#"{"message":"m","tags":["#, same("1"), "]}");
    let metadata = filled(r#"{"message":"m","metadata":{"#, same(r#""key":[]"#), "}}");
    let typed = filled(r#"{"type":"t","metadata":{"#, |it| format!("\"{it:x}\":[]"), "}}");
    let list = filled(r#"{"type":"t","metadata":["#, same("0"), "]}");
    let objects = filled(r#"{"type":"t","metadata":["#, same(r#"{"0":{}}"#), "]}");
    let equal = filled("{", same(r#""type":0"#), "}");
    let opening = filled("{", same(r#""a":[]"#), "}");
    vec![
        case("request with equal tags", tags(&same(r#""a":1"#)), request, 1),
        case("request with many tags", tags(&|it| format!("\"a{it:x}\":1")), request, 1),
        case("request with listed tags", listed, request, 1),
        case("request with much metadata", metadata, request, 1),
        case("typed message", typed, rebuilt, 6),
        case("typed message with a list", list, rebuilt, 3),
        case("typed message with small objects", objects, rebuilt, 6),
        case("typed message with equal members", equal, rebuilt, 3),
        case("tags of an opening", opening, opened, 1),
    ]
}

fn written_by_php() -> Vec<Case> {
    let halfway = "1.000000000000000111022302462515654042363,";
    let in_list = |piece: &str| format!("[{}0]", piece.repeat(BYTES / piece.len()));
    let names = filled("{", |it| format!("\"{it:x}\":0"), "}");
    let numbers = filled("{", |it| format!("\"{it}\":0"), "}");
    vec![
        case("PHP, equal names", filled("{", same(r#""":0"#), "}"), as_php, 7),
        case("PHP, many names", names, as_php, 6),
        case("PHP, numbered names", numbers, as_php_arrays, 7),
        case("PHP, floats", in_list("9e99,"), as_php, 6),
        case("PHP, long floats", in_list(halfway), as_php, 3),
        case("PHP, floats of 19 digits", in_list("1.000000000000000111e-300,"), as_php, 3),
        case("PHP, letters", escapes("\"", "é/", "\""), as_php, 5),
        case("PHP, single digits", in_list("1,"), as_php, 3),
        case("PHP, single negative zeros", in_list("-0,"), as_php, 3),
        case("PHP, short floats", in_list("0.1,"), as_php, 3),
        case("PHP, short exponents", in_list("1e9,"), as_php, 6),
        case("PHP, large integers", in_list("9223372036854775808,"), as_php, 3),
        case("PHP, empty texts", in_list("\"\","), as_php, 3),
        case("PHP, escapes", escapes("\"", r"\n", "\""), as_php, 5),
        case("PHP, numbered escapes", escapes("\"", r"\u00e9", "\""), as_php, 5),
        case("PHP, surrogate pairs", escapes("\"", r"\ud83d\ude00", "\""), as_php, 5),
        case("PHP, halves of pairs", escapes("\"", r"\ud83d", "\""), as_php, 5),
        case("PHP, small texts with escapes", in_list(r#""\/","#), as_php, 5),
        case("PHP, characters", escapes("\"", "\u{1f600}", "\""), as_php, 8),
        case("PHP, empty objects", in_list("{},"), as_php_arrays, 3),
        case("PHP, small objects", in_list("{\"\":0},"), as_php_arrays, 3),
        case("PHP, small lists", in_list("{\"0\":0},"), as_php_arrays, 4),
        case("PHP, equal names in small objects", in_list("{\"\":{},\"\":0},"), as_php, 7),
        case("PHP, deep", deep("[", "]"), as_php, 3),
    ]
}

fn others() -> Vec<Case> {
    let line = escapes(r#"{"type":2,"action":"echo","data":""#, r"\n", r#""}"#);
    let names = filled(r#"{"command":"tag","remove":["#, same(r#""""#), "]}");
    let halves = escapes("\"", r"\ud83d", "\"");
    vec![
        case("bloatless packet", many_objects(), bloatless_packet, 1),
        case("bloatless packet with escapes", line, bloatless_packet, 2),
        case("answer with many commands", filled("[", same("0"), "]"), answer, 1),
        case("answer with many names", names, answer, 1),
        case("answer with many members", filled("{", same(r#""command":"fyi""#), "}"), answer, 2),
        case("rendered packet", many_objects(), |text| rendered(PayloadForm::Packet, text), 4),
        case(
            "rendered text",
            escapes("", "\u{1}", ""),
            |text| rendered(PayloadForm::Text, text),
            8,
        ),
        case("rendered message", halves, |text| rendered(PayloadForm::Message, text), 4),
    ]
}

fn held(schema: &str, message: &str) {
    let schema = Schema::read(schema).unwrap();
    let _fits = black_box(schema.check(message));
}

/// Messages that are validated against a schema. A validation that would take too long is aborted
/// and denied.
fn checked() -> Vec<Case> {
    let list = |item: &'static str| filled("[", same(item), "]");
    let names = || filled("{", |it| format!("\"{it:x}\":0"), "}");
    let texts = || escapes("\"", "ab", "\"");
    vec![
        case("multipleOf", list("9e99"), |text| held(r#"{"items":{"multipleOf":0.01}}"#, text), 6),
        case(
            "multipleOf, long numbers",
            list("1.000000000000000000000000000000000000001e308"),
            |text| held(r#"{"items":{"multipleOf":1e-17,"minimum":1}}"#, text),
            6,
        ),
        case(
            "multipleOf, one long number",
            "9".repeat(BYTES),
            |text| held(r#"{"multipleOf":7}"#, text),
            6,
        ),
        case("uniqueItems", list("[]"), |text| held(r#"{"uniqueItems":true}"#, text), 12),
        case(
            "uniqueItems, distinct",
            filled("[", |it| it.to_string(), "]"),
            |text| held(r#"{"uniqueItems":true}"#, text),
            12,
        ),
        case(
            "enum of lists",
            list("[[1]]"),
            |text| held(r#"{"items":{"enum":[[[2]],[[3]],{"a":1}]}}"#, text),
            6,
        ),
        case(
            "contains and anyOf",
            list("1"),
            |text| {
                held(
                    r#"{"contains":{"type":"null"},"items":{"anyOf":[{"type":"null"},{"minimum":2}]}}"#,
                    text,
                );
            },
            6,
        ),
        case("pattern", texts(), |text| held(r#"{"pattern":"^(a|b|ab)*c(a{20}){5}$"}"#, text), 2),
        case("simple pattern", texts(), |text| held(r#"{"pattern":"x$"}"#, text), 2),
        case(
            "patterns of names",
            names(),
            |text| held(r#"{"patternProperties":{"^[a-f]*x":false,"y{3}":false}}"#, text),
            10,
        ),
        case(
            "names that are required",
            names(),
            |text| {
                held(
                    r#"{"required":["a","b"],"properties":{"a":true},"dependentSchemas":{"a":{"maxProperties":1}}}"#,
                    text,
                );
            },
            10,
        ),
        case(
            "equal names",
            filled("{", same(r#""":0"#), "}"),
            |text| held(r#"{"additionalProperties":{"type":"number"}}"#, text),
            10,
        ),
        case("deep", deep("[", "]"), |text| held(r#"{"uniqueItems":true}"#, text), 4),
    ]
}

/// Processor seconds of this thread, so other programs do not count.
fn processor_time() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn timed(run: impl FnOnce()) -> f64 {
    let began = processor_time();
    run();
    processor_time() - began
}

#[test]
fn no_message_allocates_more_than_a_small_multiple_of_its_size() {
    let mut findings: Vec<Cow<'static, str>> = Vec::new();
    for Case { name, text, look, memory_max } in
        [packets(), requests(), written_by_php(), others(), checked()].into_iter().flatten()
    {
        // Several reads, because the kernel counts in milliseconds.
        let unit = timed(|| {
            (0..UNITS).for_each(|_| drop(black_box(plain_look(black_box(&text)).to_string())));
        }) / f64::from(UNITS);
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let seconds = timed(|| look(&text));
        let peak = MEMORY.peak_usage().saturating_sub(before);
        let (looks, memory) = (seconds / unit, peak as f64 / text.len() as f64);
        let time = seconds * 1000.0 * 1024.0 * 1024.0 / text.len() as f64;
        println!("{name:35} {memory:5.1} x memory {looks:5.1} looks {time:6.2} ms/MiB");
        if peak > memory_max * text.len() + 64 * 1024 {
            findings
                .push(format!("{name}: {memory:.1} times its size, {memory_max} at most").into());
        }
        if looks > LOOKS_MAX {
            findings.push(format!("{name}: {looks:.1} plain looks, {LOOKS_MAX} at most").into());
        }
    }
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}
