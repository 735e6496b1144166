//! Finds the receivers of messages from Gomoob clients.

use super::raw::Raw;

/// Returns which clients receive a message that the first client sends to these tags.
#[track_caller]
pub fn receivers(clients: &mut [Raw], tags: &str) -> String {
    clients[0].text(format!(r#"{{"message":"m","tags":{tags}}}"#));
    clients[0].text(r#"{"message":"end"}"#);
    let mut names = String::new();
    for (name, client) in ('A'..).zip(clients) {
        let frame = client.frame().as_text().to_owned();
        if frame == r#""m""# {
            names.push(name);
            client.expect_text(r#""end""#);
        } else {
            assert_eq!(frame, r#""end""#);
        }
    }
    names
}
