//! Valid and invalid answers of backends.

use super::*;
use crate::types::Tag;
use proptest::prelude::*;

fn of(text: &str) -> Vec<WebhookCommand> {
    parse(text.as_bytes()).unwrap()
}

fn one(text: &str) -> WebhookCommand {
    let mut all = of(text);
    assert_eq!(all.len(), 1, "{text}");
    all.remove(0)
}

fn why(text: &str) -> String {
    parse(text.as_bytes()).unwrap_err().to_string()
}

fn tags(name: &str, value: &str) -> Tags {
    Tags::new([Tag::new(name, value).unwrap()]).unwrap()
}

#[test]
fn nothing_one_a_list_and_an_object_with_a_list_are_answers() {
    for nothing in ["", " \r\n", "null", "[]", r#"{"commands":[]}"#] {
        assert_eq!(of(nothing), [], "{nothing}");
    }
    let reply = r#"{"command":"reply","text":"hi"}"#;
    let expected = [WebhookCommand::Reply(WebhookContent::Text("hi".to_owned()))];
    assert_eq!(of(reply), expected);
    assert_eq!(of(&format!("[{reply}]")), expected);
    assert_eq!(of(&format!(r#"{{"commands":[{reply}],"note":1}}"#)), expected);
}

#[test]
fn every_command_is_read() {
    let message = |json: &str| WebhookContent::Message(json.to_owned());
    assert_eq!(
        one(r#"{"command":"reply","message":{"a": 1.50}}"#),
        WebhookCommand::Reply(message(r#"{"a": 1.50}"#))
    );
    for (to, expected) in [
        (r#""all""#, PublishTo::All),
        (r#""others""#, PublishTo::Others),
        (r#""resource""#, PublishTo::Resource),
        (r#"{"uuid":"u"}"#, PublishTo::Uuid("u".into())),
        (r#"{"ident":"i"}"#, PublishTo::Ident(Ident::new("i").unwrap())),
        (r#"{"tags":{"room":12}}"#, PublishTo::Tags(tags("room", "12"))),
    ] {
        let text = format!(r#"{{"command":"publish","to":{to},"message":null}}"#);
        // For an optional member, JSON null means that the member is absent. A backend that wants
        // to send null must use `text`.
        assert!(parse(text.as_bytes()).is_err());
        let text = format!(r#"{{"command":"publish","to":{to},"message":[]}}"#);
        assert_eq!(one(&text), WebhookCommand::Publish(expected, message("[]")));
    }
    let tag = one(r#"{"command":"tag","set":{"room":"1"},"remove":["old"]}"#);
    assert_eq!(tag, WebhookCommand::Tag { set: tags("room", "1"), remove: vec!["old".into()] });
    let accept = one(r#"{"command":"accept","user":{"id":7},"tags":{"room":"1"}}"#);
    assert_eq!(
        accept,
        WebhookCommand::Accept { user: Some(r#"{"id":7}"#.into()), tags: tags("room", "1") }
    );
    assert_eq!(
        one(r#"{"command":"accept","tags":[]}"#),
        WebhookCommand::Accept { user: None, tags: Tags::default() }
    );
    assert_eq!(
        one(r#"{"command":"refuse","reason":"full"}"#),
        WebhookCommand::Refuse("full".into())
    );
    let WebhookCommand::Close(reason) = one(r#"{"command":"close","code":4001,"reason":"bye"}"#)
    else {
        panic!()
    };
    assert_eq!((reason.code.0, reason.text.as_ref()), (4001, "bye"));
    assert_eq!(
        one(r#"{"command":"who","tag":"nick"}"#),
        WebhookCommand::Who { query: Tags::default().into(), tag: "nick".into() }
    );
    let expression = |text: &str| Expression::parse(text).unwrap();
    assert_eq!(
        one(r#"{"command":"who","expr":"a=1 & !b?","tag":""}"#),
        WebhookCommand::Who { query: expression("a=1&!b?").into(), tag: "".into() }
    );
    for expr in
        [r#""room=1 | vip?""#, r#"{"or":[{"tag":"room","is":1},{"tag":"vip","exists":true}]}"#]
    {
        assert_eq!(
            one(&format!(r#"{{"command":"publish","to":{{"expr":{expr}}},"text":"a"}}"#)),
            WebhookCommand::Publish(
                PublishTo::Expression(expression("room=1|vip?")),
                WebhookContent::Text("a".to_owned())
            )
        );
    }
    assert_eq!(
        one(r#"{"command":"fyi","text":"\u00e9"}"#),
        WebhookCommand::Fyi("\u{e9}".to_owned())
    );
}

#[test]
fn errors_name_what_is_allowed() {
    for (text, words) in [
        ("<html>", "neither empty nor a JSON list or object"),
        ("[1]", "command 1: "),
        ("[{]", "not JSON with commands"),
        (r#"{"comand":"reply"}"#, "missing field `command`"),
        (
            r#"[{"command":"fyi","text":"x"},{"command":"shout"}]"#,
            "command 2: is unknown; use reply",
        ),
        (r#"{"command":"reply"}"#, "needs either `message` or `text`"),
        (r#"{"command":"reply","text":"a","message":1}"#, "needs either `message` or `text`"),
        (r#"{"command":"reply","txt":"a"}"#, "unknown field `txt`, expected one of `command`"),
        (r#"{"command":"publish","text":"a"}"#, "`to` is \"all\""),
        (r#"{"command":"publish","to":"nobody","text":"a"}"#, "`to` is \"all\""),
        (r#"{"command":"publish","to":{"uuid":"a","ident":"b"},"text":"a"}"#, "one of `uuid`"),
        (r#"{"command":"publish","to":{"tags":5},"text":"a"}"#, "`tags`: "),
        (r#"{"command":"tag","set":{"@resource":"x"}}"#, "server's to give"),
        (r#"{"command":"tag","remove":["@resource"]}"#, "are the server's"),
        (r#"{"command":"close","code":1006}"#, "1000 or 3000 to 4999"),
        (r#"{"command":"close","code":70000}"#, "u16"),
        (r#"{"command":"refuse","reason":"a\nb"}"#, "one line"),
        (r#"{"command":"who"}"#, "missing field `tag`"),
        (r#"{"command":"who","tags":{},"expr":"a?","tag":""}"#, "both `tags` and `expr`"),
        (
            r#"{"command":"publish","to":{"expr":"a!=1"},"text":"a"}"#,
            "`expr`: there is no != and no not in; write !a=…",
        ),
        (
            r#"{"command":"publish","to":{"expr":{"and":[]}},"text":"a"}"#,
            "`expr`: expected a list that is not empty at /and",
        ),
        (r#"{"command":"publish","to":{"expr":"a?","tags":{}},"text":"a"}"#, "`tags` and `expr`"),
    ] {
        assert!(why(text).contains(words), "{text}: {}", why(text));
    }
    let user = "x".repeat(USER_BYTES_MAX - 1);
    assert!(why(&format!(r#"{{"command":"accept","user":"{user}"}}"#)).contains("at most 4096"));
    let many = vec![r#"{"command":"fyi","text":""}"#; COMMANDS_MAX + 1].join(",");
    assert!(why(&format!("[{many}]")).contains("257 commands"));
    assert!(parse(b"\xff").is_err());
}

#[test]
fn what_no_text_and_no_number_can_hold_is_replaced_or_named() {
    let cut = one(r#"{"command":"reply","text":"cut \ud83d"}"#);
    assert_eq!(cut, WebhookCommand::Reply(WebhookContent::Text("cut \u{fffd}".to_owned())));
    let whole = one(r#"{"command":"reply","message":["\ud83d",1e400]}"#);
    assert_eq!(
        whole,
        WebhookCommand::Reply(WebhookContent::Message(r#"["\ud83d",1e400]"#.to_owned()))
    );
    assert_eq!(
        one(r#"{"command":"refuse","reason":"\udc00"}"#),
        WebhookCommand::Refuse("\u{fffd}".into())
    );
    assert!(why(r#"{"command":"close","code":1e400}"#).contains("not `1e400`"));
    assert!(why(r#"{"command":"tag","set":{"a":1e400}}"#).contains("The 'a' tag"));
}

#[test]
fn of_a_list_no_more_is_kept_than_is_taken() {
    let items = "0,".repeat(1_000_000) + "0";
    assert!(why(&format!("[{items}]")).contains("it has 1000001 commands"));
    assert!(why(&format!(r#"{{"commands":[{items}]}}"#)).contains("it has 1000001 commands"));
    let many = r#""n","#.repeat(200) + "\"n\"";
    let wrong = why(&format!(r#"{{"command":"tag","remove":[{many}]}}"#));
    assert!(wrong.contains("`remove` has 201 names, at most 128 are allowed"), "{wrong}");
    assert!(why(r#"{"command":"tag","remove":[5]}"#).contains("`remove` is a list of names"));
}

proptest! {
    #[test]
    fn no_answer_panics(text in r#"(?s)(\{|\}|\[|\]|"command"|"reply"|"publish"|"to"|"all"|"text"|:|,|1|.){0,30}"#) {
        drop(parse(text.as_bytes()));
    }
}
