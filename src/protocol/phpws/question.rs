//! Questions to a client: the frame that asks, and the packet that answers.

use std::time::Duration;

use super::render;
use crate::json::{JsonShape, Scalar, pick};
use crate::protocol::{Cast, QuestionAnswer, QuestionReply};
use crate::types::{AskToken, Content};

/// Renders a publication as a question with this number.
pub(super) fn ask(content: Content<&[u8]>, token: AskToken, _: Duration) -> Vec<u8> {
    let mut packet = render(content, Cast::One).into_owned();
    // The number stands behind the message: a page that reads a feedback finds it where it always is.
    packet.pop();
    packet.extend_from_slice(b",\"ask\":\"");
    packet.extend_from_slice(token.text().as_bytes());
    packet.extend_from_slice(b"\"}");
    packet
}

/// Returns the answer in a packet with the opcode `answer`, if its `ask` has the form of a number of the
/// server. Any other packet with this opcode is one of an application of its own.
pub(super) fn answer(text: &str) -> Option<QuestionAnswer<'_>> {
    let Ok(JsonShape::Object(members)) = pick(text, ["opcode", "ask", "message"]) else {
        return None;
    };
    let [opcode, ask, message] = members.named;
    if Scalar::of(opcode?).text()? != "answer" {
        return None;
    }
    let token = AskToken::parse(&Scalar::of(ask?).text()?)?;
    Some(QuestionAnswer { token, reply: QuestionReply::Answer(message.unwrap_or("null")) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::PayloadForm;

    const TOKEN: AskToken = AskToken([0xab; 16]);

    #[test]
    fn a_question_is_a_feedback_with_a_number() {
        let digits = "ab".repeat(16);
        for (form, payload, message) in [
            (PayloadForm::Message, &b"{\"q\":1}"[..], "{\"q\":1}"),
            (PayloadForm::Text, b"a \"b\"", "\"a \\\"b\\\"\""),
        ] {
            let frame = String::from_utf8(ask(Content { form, payload }, TOKEN, Duration::ZERO)).unwrap();
            let right = format!(r#"{{"opcode":"feedback","message":{message},"ask":"{digits}"}}"#);
            assert_eq!(frame, right);
        }
    }

    #[test]
    fn an_answer_is_known_by_the_form_of_its_number() {
        let digits = "ab".repeat(16);
        let of = |text: String| answer(&text).map(|it| match it.reply {
            QuestionReply::Answer(json) => (it.token, json.to_owned()),
            QuestionReply::Refusal(_) => panic!("a packet does not refuse"),
        });
        assert_eq!(
            of(format!(r#"{{"opcode":"answer","ask":"{digits}","message":{{"a":2}} }}"#)),
            Some((TOKEN, "{\"a\":2}".to_owned()))
        );
        assert_eq!(
            of(format!(r#"{{"ask":"{digits}","opcode":"answer"}}"#)),
            Some((TOKEN, "null".to_owned()))
        );
        for own in [
            r#"{"opcode":"answer","message":1}"#.to_owned(),
            r#"{"opcode":"answer","ask":7}"#.to_owned(),
            r#"{"opcode":"answer","ask":"7"}"#.to_owned(),
            format!(r#"{{"opcode":"answer","ask":"{}"}}"#, digits.to_uppercase()),
            format!(r#"{{"opcode":"answers","ask":"{digits}"}}"#),
            format!(r#"["answer","{digits}"]"#),
        ] {
            assert_eq!(of(own.clone()), None, "{own}");
        }
    }
}
