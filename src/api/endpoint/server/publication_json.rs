//! The JSON of a publication that an operator reads.

use std::fmt::Write;

use crate::api::endpoint::connections::push_tags;
use crate::auth::uuid::Signer;
use crate::json;
use crate::link::tail::TailedPublication;
use crate::types::{Address, ClientUuid, Ident, NamedClient, Recipients};

/// Returns the JSON of one publication, which was received at this time, without its payload and its end.
pub(super) fn publication_json(
    publication: &TailedPublication,
    signer: &Signer,
    time: u64,
) -> String {
    let TailedPublication { source, tenant, address, clients, workers, bytes, .. } = publication;
    let mut out = format!("{{\"time\":{time},\"tenant\":");
    json::push_text(&tenant.0, &mut out);
    let process = source.worker.role();
    let _written = write!(out, ",\"process\":\"{process}\",\"to\":");
    push_address(&mut out, address, signer);
    let _written = write!(out, ",\"matched\":{clients},\"workers\":{workers},\"bytes\":{bytes}");
    out
}

/// Appends the payload, as text.
pub(super) fn push_payload(
    out: &mut String,
    TailedPublication { bytes, payload, .. }: &TailedPublication,
) {
    out.push_str(",\"payload\":");
    json::push_text(whole_characters(payload), out);
    if *bytes > payload.len() as u64 {
        out.push_str(",\"truncated\":true");
    }
}

/// Returns the text without a character of which the end is missing: payloads are cut at any byte.
fn whole_characters(bytes: &[u8]) -> &str {
    match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            bytes.get(..error.valid_up_to()).and_then(|it| str::from_utf8(it).ok()).unwrap_or("")
        }
    }
}

/// Appends an address in the form that requests have, as far as it has one.
fn push_address(out: &mut String, address: &Address, signer: &Signer) {
    out.push('{');
    let (recipients, among) = match &address.recipients {
        Recipients::Among(it) => (&it.recipients, Some(&it.expression)),
        recipients => (recipients, None),
    };
    let (recipients, mut except) = match recipients {
        Recipients::Without(it) => (&it.recipients, it.uuids.to_vec()),
        recipients => (recipients, Vec::new()),
    };
    except.extend(address.except);
    push_recipients(out, recipients, signer);
    if let Some(expression) = among {
        push_member(out, "among", |out| json::push_text(expression.canonical(), out));
    }
    if !except.is_empty() {
        let uuids: Vec<String> = except.iter().map(|uuid| signer.text(*uuid)).collect();
        push_member(out, "except", |out| push_list(out, uuids.iter().map(String::as_str)));
    }
    out.push('}');
}

fn push_recipients(out: &mut String, recipients: &Recipients, signer: &Signer) {
    match recipients {
        Recipients::First { uuid, ident } => push_names(out, *uuid, ident.as_ref(), signer),
        Recipients::Named(named) => {
            let NamedClient { uuid, alias, ident, .. } = &**named;
            push_names(out, *uuid, ident.as_ref(), signer);
            if let Some(alias) = alias {
                push_member(out, "alias", |out| json::push_text(alias.as_str(), out));
            }
        }
        Recipients::Matching(query) if query.is_empty() => {
            push_member(out, "all", |out| out.push_str("true"));
        }
        Recipients::Matching(query) => push_member(out, "tags", |out| push_tags(out, query)),
        Recipients::TagSequence(tags) => {
            let tags: Vec<String> =
                tags.iter().map(|tag| format!("{}={}", tag.name(), tag.value())).collect();
            push_member(out, "tag_sequence", |out| push_list(out, tags.iter().map(String::as_str)));
        }
        Recipients::Expression(expression) => {
            push_member(out, "expr", |out| json::push_text(expression.canonical(), out));
        }
        // Requests cannot nest it.
        Recipients::Without(_) | Recipients::Among(_) => {}
    }
}

fn push_names(out: &mut String, uuid: Option<ClientUuid>, ident: Option<&Ident>, signer: &Signer) {
    if let Some(uuid) = uuid {
        push_member(out, "uuid", |out| json::push_text(&signer.text(uuid), out));
    }
    if let Some(ident) = ident {
        push_member(out, "ident", |out| json::push_text(ident.as_str(), out));
    }
}

fn push_member(out: &mut String, name: &str, push_value: impl FnOnce(&mut String)) {
    out.push_str(if out.ends_with('{') { "\"" } else { ",\"" });
    out.push_str(name);
    out.push_str("\":");
    push_value(out);
}

fn push_list<'a>(out: &mut String, texts: impl Iterator<Item = &'a str>) {
    out.push('[');
    for (at, text) in texts.enumerate() {
        out.push_str(if at == 0 { "" } else { "," });
        json::push_text(text, out);
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::auth::uuid::UuidForm;
    use crate::types::{Alias, Expression, RecipientsAmong, RecipientsWithout, Tag, Tags};

    fn shown(address: &Address) -> Value {
        let mut out = String::new();
        push_address(&mut out, address, &Signer::new(&[1; 32], UuidForm::Plain));
        serde_json::from_str(&out).unwrap()
    }

    #[test]
    fn each_kind_of_address_is_shown() {
        let tag = |name: &str| Tag::new(name, "1").unwrap();
        let of = |recipients| Address { recipients, except: None };
        let uuid = ClientUuid([1; 16]);
        let text = uuid.text();
        assert_eq!(shown(&Address::everyone_but(uuid)), json!({"all": true, "except": [text]}));
        let named = NamedClient { alias: Alias::new("a\"b").ok(), ..NamedClient::default() };
        assert_eq!(shown(&Address::named(named)), json!({"alias": "a\"b"}));
        let ident = Ident::new("job").ok();
        let first = Address::first(Some(uuid), ident);
        assert_eq!(shown(&first), json!({"uuid": text, "ident": "job"}));
        let tags = Address::tag_sequence([tag("b"), tag("a")].into());
        assert_eq!(shown(&tags), json!({"tag_sequence": ["b=1", "a=1"]}));
        let tags = Recipients::Matching(Tags::new([tag("a")]).unwrap());
        assert_eq!(shown(&of(tags.clone())), json!({"tags": {"a": "1"}}));
        let without = RecipientsWithout { recipients: tags, uuids: [uuid].into() };
        let without = of(Recipients::Without(Box::new(without)));
        assert_eq!(shown(&without), json!({"tags": {"a": "1"}, "except": [text]}));
        let expression = Expression::parse("a = 1").unwrap();
        let by_expression = Recipients::Expression(expression.clone());
        assert_eq!(shown(&of(by_expression)), json!({"expr": "a=1"}));
        let recipients = Address::everyone().recipients;
        let among = Recipients::Among(Box::new(RecipientsAmong { recipients, expression }));
        assert_eq!(shown(&of(among)), json!({"all": true, "among": "a=1"}));
    }

    #[test]
    fn a_character_that_was_cut_is_left_out() {
        assert_eq!(whole_characters("aé".as_bytes()), "aé");
        assert_eq!(whole_characters(&"aé".as_bytes()[..2]), "a");
    }
}
