//! The server and the application that `publish` and `subscribe` use: those of the ini in the folder, as with
//! `status`.

use crate::harness::{Finished, Folder, Open, Running, Server, Setup, run_to_end, run_to_end_with};

const APPLICATIONS: &str = "anonymous: pages
applications:
  - key: pages
    secret: secret-of-the-pages-for-this-test-alone
    authorizeOpen: true
  - key: shop
    secret: secret-of-the-shop-for-this-test-alone
    authorizeOpen: false
    tenant: shop
";

#[track_caller]
fn expect(finished: &Finished, code: i32, text: &str) {
    assert_eq!(finished.code, Some(code), "{}", finished.text);
    assert!(finished.text.contains(text), "{}", finished.text);
    assert!(!finished.text.contains("secret-of"), "{}", finished.text);
}

/// Creates a folder whose ini has the address of this server.
fn folder_of(server: &Server, address: &str) -> Folder {
    let folder = Folder::new();
    let address = address.replace("PORT", &server.port.to_string());
    folder.write("websock.ini", &format!("address = {address}\n"));
    folder
}

#[test]
fn the_configuration_of_the_folder_selects_the_server() {
    let server = Server::start();
    let _page = server.open(&Open::web());
    for address in
        ["ws://127.0.0.1:PORT", "localhost:PORT", "ws://127.0.0.1:1, tcp://127.0.0.1:PORT"]
    {
        let folder = folder_of(&server, address);
        let finished = run_to_end(&folder, &["publish", "--all", "hi"]);
        if address.contains(":1,") {
            // The first address is used, and no program listens there.
            expect(&finished, 69, "ws://127.0.0.1:1/");
        } else {
            expect(&finished, 0, "reached 1 client");
        }
    }
    let folder = folder_of(&server, "ws://127.0.0.1:PORT");
    let elsewhere = Folder::new();
    let ini = folder.path("websock.ini").display().to_string();
    expect(&run_to_end(&elsewhere, &["publish", "--all", "-i", &ini, "hi"]), 0, "reached 1 client");
    let subscriber = Running::start(&folder, &["subscribe", "--tag", "a=b", "--count", "1"]);
    subscriber.wait_for_error(&format!("subscribed at ws://127.0.0.1:{}/", server.port));
    expect(&run_to_end(&folder, &["publish", "--tag", "a=b", "hi"]), 0, "reached 1 client");
    assert_eq!(subscriber.wait_for_end().1, "hi");
}

#[test]
fn a_port_chosen_by_the_system_is_queried_from_the_server() {
    let server = Server::start();
    let _page = server.open(&Open::web());
    expect(&run_to_end(&server.folder, &["publish", "--all", "hi"]), 0, "reached 1 client");
    let folder = Folder::new();
    folder.write("websock.ini", "address = ws://127.0.0.1:0\n");
    let finished = run_to_end(&folder, &["publish", "--all", "hi"]);
    expect(&finished, 69, "no server is running with the state folder");
}

#[test]
fn an_address_of_all_networks_is_reached_over_this_machine() {
    let server = Setup::new().auth(APPLICATIONS).start();
    let folder = folder_of(&server, "ws://0.0.0.0:PORT");
    folder.write("auth.yml", APPLICATIONS);
    expect(&run_to_end(&folder, &["publish", "--all", "hi"]), 0, "reached 0 clients");
}

#[test]
fn the_secret_of_the_ini_is_shown_to_its_own_server_only() {
    let server = Setup::new().auth(APPLICATIONS).start();
    let _page = server.open(&Open::web());
    let folder = &server.folder;
    // `anonymous` may not publish without its secret.
    expect(&run_to_end(&Folder::new(), &["publish", "--all", "--url", &url(&server), "x"]), 77, "");
    expect(&run_to_end(folder, &["publish", "--all", "x"]), 0, "reached 1 client");
    expect(
        &run_to_end(folder, &["publish", "--all", "--key", "shop", "x"]),
        0,
        "reached 0 clients",
    );
    let unknown = run_to_end(folder, &["publish", "--all", "--key", "nobody", "x"]);
    expect(&unknown, 77, "HTTP 401");
    // An explicit secret is used, even if it is wrong.
    let wrong = [("TAGCAST_SECRET", "another one that is wrong")];
    let given = run_to_end_with(folder, &["publish", "--all", "--key", "shop", "x"], &wrong);
    expect(&given, 77, "HTTP 401");

    // The same ini with a URL of another server: no secret is sent there.
    let other = Setup::new().auth(APPLICATIONS).start();
    let there = folder_of(&server, "ws://127.0.0.1:PORT");
    there.write("auth.yml", APPLICATIONS);
    expect(&run_to_end(&there, &["publish", "--all", "--url", &url(&other), "x"]), 77, "");
    // The command that the page shows, run in the folder of the server.
    let web = format!("{}web", url(&server));
    let finished = run_to_end(&there, &["publish", "--url", &web, "--all", "x"]);
    expect(&finished, 0, "reached 1 client");
}

fn url(server: &Server) -> String {
    format!("ws://127.0.0.1:{}/", server.port)
}
