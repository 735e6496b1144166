//! A chat with rooms, nicknames and presence, on as many workers as there are cores.
//!
//! This is a complete `tagcast` with one additional resource. Start it, and open two connections:
//!
//! ```text
//! cargo run --example chat
//! websocat 'ws://127.0.0.1:8094/chat?nick=Anna&room=lobby'
//! ```
//!
//! A text goes to all clients in the room. `/nick Berta` changes the nickname, `/join kitchen` changes the room, and
//! `/who` lists the clients in the room. The room is a tag, so every worker and every backend can publish to it:
//! `tagcast publish --tag room=lobby 'The server will be restarted at noon.'`

use std::error::Error;
use std::process::ExitCode;

use serde_json::json;
use tagcast::{
    Address, Builder, ClientHandle, ConnectRequest, Message, Presence, Resource, Tag, TagQuery,
};

/// Has no state, because room and nickname are tags of the client.
struct Chat;

type Done = Result<(), Box<dyn Error>>;

impl Resource for Chat {
    fn on_open(&mut self, client: &mut ClientHandle<'_>, opening: &ConnectRequest<'_>) {
        let guest = format!("guest-{}", client.id().short());
        let nick = opening.parameter("nick").unwrap_or_else(|| guest.into());
        let room = opening.parameter("room").unwrap_or_else(|| "lobby".into());
        let entered = client.set_tag("nick", &nick).map_err(Into::into);
        let entered = entered.and_then(|()| enter(client, &room));
        complain(client, entered);
    }

    fn on_message(&mut self, client: &mut ClientHandle<'_>, message: Message<'_>) {
        let Some(text) = message.text() else { return };
        let done = match text.split_once(' ').unwrap_or((text, "")) {
            ("/nick", nick) => rename(client, nick),
            ("/join", room) => leave_for(client, room),
            ("/who", _) => room_of(client).map(|room| client.query_presence(room, "nick")),
            _ => broadcast(client, &json!({ "from": client.tag("nick"), "text": text })),
        };
        complain(client, done);
    }

    fn on_presence(&mut self, client: &mut ClientHandle<'_>, who: &Presence) {
        let mut here = who.values.clone();
        here.sort();
        client.reply(&json!({ "here": here })).ok();
    }

    fn on_close(&mut self, client: &mut ClientHandle<'_>) {
        // The client is gone, so an error cannot be reported to it.
        broadcast(client, &json!({ "left": client.tag("nick") })).ok();
    }
}

fn enter(client: &mut ClientHandle<'_>, room: &str) -> Done {
    client.set_tag("room", room)?;
    broadcast(client, &json!({ "entered": client.tag("nick"), "room": room }))
}

fn leave_for(client: &mut ClientHandle<'_>, room: &str) -> Done {
    Tag::new("room", room)?;
    broadcast(client, &json!({ "left": client.tag("nick") }))?;
    enter(client, room)
}

fn rename(client: &mut ClientHandle<'_>, nick: &str) -> Done {
    let before = client.tag("nick").map(str::to_owned);
    client.set_tag("nick", nick)?;
    broadcast(client, &json!({ "renamed": before, "to": nick }))
}

/// Publishes to all clients in the client's room, including the client.
fn broadcast(client: &mut ClientHandle<'_>, what: &serde_json::Value) -> Done {
    let room = room_of(client)?;
    Ok(client.publish(Address::matching(room), what)?)
}

fn room_of(client: &ClientHandle<'_>) -> Result<TagQuery, Box<dyn Error>> {
    let room = client.tag("room").ok_or("you are in no room: /join one")?;
    Ok(TagQuery::new([Tag::new("room", room)?])?)
}

fn complain(client: &mut ClientHandle<'_>, done: Done) {
    if let Err(error) = done {
        client.reply(&json!({ "error": error.to_string() })).ok();
    }
}

fn main() -> ExitCode {
    Builder::new().resource("/chat", || Chat).run()
}
