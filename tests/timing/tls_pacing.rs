//! Clients over TLS get one frame at a time, like those without TLS. It is a timing test, because
//! other work at the same time would delay the receiver.

use crate::harness::tls::{ALL_VERSIONS, certificate_in};
use crate::harness::{Folder, Open, Raw, Server, feedback_to, pacing};

#[test]
fn a_script_inside_tls_gets_one_frame_at_a_time() {
    let _quiet = crate::harness::alone();
    let folder = Folder::new();
    certificate_in(&folder);
    let ini = "adress = wss://127.0.0.1:0\nworkers = 2\ncertFile = cert.pem\npkFile = key.pem\n";
    folder.write("websock.ini", ini);
    let server = Server::run(folder, &["serve", "-i", "websock.ini"], &[]);
    let open = |open: &Open| {
        let client = Raw::connect_tls(server.port, &server.folder, ALL_VERSIONS);
        let mut client = open.upgrade_over(client);
        client.expect_ready();
        client
    };
    let (mut script, mut sender) = (open(&Open::php()), open(&Open::web()));
    let uuid = script.uuid.clone();
    let packets = ["one", "two"].map(|message| feedback_to(&uuid, message));
    let gap = pacing::typical_gap(pacing::FRAME_GAP, || {
        packets.iter().for_each(|packet| sender.text(packet));
        let frames = packets.each_ref().map(|packet| script.expect_text(packet));
        packets.iter().for_each(|_| drop(sender.expect_next()));
        pacing::gap(&frames[0], &frames[1])
    });
    assert!(gap >= pacing::FRAME_GAP, "{gap:?}");
}
