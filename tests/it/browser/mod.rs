//! A headless Chromium, controlled through its DevTools protocol.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

/// Time limit of every browser operation.
const PATIENCE: Duration = Duration::from_secs(30);

/// One Chromium for all tests, because starting one takes longer than most tests.
static CHROMIUM: OnceLock<Chromium> = OnceLock::new();

/// The process, with its own profile.
struct Chromium {
    process: Mutex<Child>,
    profile: PathBuf,
    port: u16,
}

impl Chromium {
    fn start() -> Self {
        let profile = std::env::temp_dir().join(format!("tagcast-chromium-{}", std::process::id()));
        let mut process = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-sync"])
            .args(["--disable-component-update", "--remote-debugging-port=0"])
            // The certificates of the tests are self-signed.
            .arg("--ignore-certificate-errors")
            // Only one of several pages is in front. The other pages must not be throttled.
            .args(["--disable-background-timer-throttling", "--disable-renderer-backgrounding"])
            .arg("--disable-backgrounding-occluded-windows")
            .args(["--remote-allow-origins=*", "--window-size=1000,1250"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let said = lines.find_map(|line| {
            let line = line.ok()?;
            line.split_once("DevTools listening on ws://127.0.0.1:")?
                .1
                .split('/')
                .next()?
                .parse()
                .ok()
        });
        let port = said.expect("chromium says where it listens");
        // Reads all other output, so that the pipe cannot fill up.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process: Mutex::new(process), profile, port }
    }

    /// Returns the DevTools address of the browser as a whole, which belongs to no page.
    fn address(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let host = format!("Host: 127.0.0.1:{}", self.port);
        write!(stream, "GET /json/version HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n")
            .unwrap();
        // Chromium keeps the connection open, so the length header decides where the answer ends.
        let mut answer = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            answer.read_line(&mut line).unwrap();
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().unwrap();
                }
                None if line.trim_end().is_empty() => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        body["webSocketDebuggerUrl"].as_str().unwrap().to_owned()
    }
}

/// Stops Chromium, if a test has started it.
pub fn quit() {
    if let Some(chromium) = CHROMIUM.get() {
        let mut process = chromium.process.lock().unwrap();
        process.kill().ok();
        process.wait().ok();
        std::fs::remove_dir_all(&chromium.profile).ok();
    }
}

/// A separate browser context with its own cookies and storage. Its pages are closed with it.
pub struct Browser {
    chromium: &'static Chromium,
    control: Mutex<Page>,
    context: String,
}

impl Browser {
    /// Creates a context with empty storage.
    pub fn start() -> Self {
        let chromium = CHROMIUM.get_or_init(Chromium::start);
        let mut control = Page::at(&chromium.address());
        let made = control.call("Target.createBrowserContext", &json!({ "disposeOnDetach": true }));
        let context = made["browserContextId"].as_str().unwrap().to_owned();
        Self { chromium, control: Mutex::new(control), context }
    }

    /// Opens a page.
    pub fn open(&self, url: &str) -> Page {
        let target = json!({ "url": url, "browserContextId": self.context });
        let made = self.control.lock().unwrap().call("Target.createTarget", &target);
        let id = made["targetId"].as_str().unwrap();
        Page::at(&format!("ws://127.0.0.1:{}/devtools/page/{id}", self.chromium.port))
    }
}

/// One page of the browser.
pub struct Page {
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    last: u64,
}

impl Page {
    fn at(address: &str) -> Self {
        let (socket, _) = tungstenite::connect(address).unwrap();
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        Self { socket, last: 0 }
    }

    /// Evaluates an expression and returns its value.
    pub fn value(&mut self, expression: &str) -> Value {
        let answer = self
            .call("Runtime.evaluate", &json!({ "expression": expression, "returnByValue": true }));
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn wait_for(&mut self, expression: &str) {
        let began = Instant::now();
        while self.value(expression) != Value::Bool(true) {
            assert!(began.elapsed() < PATIENCE, "never true: {expression}");
            // The page itself reports when it has painted again.
            self.call(
                "Runtime.evaluate",
                &json!({
                    "expression": "new Promise(done => setTimeout(done, 20))",
                    "awaitPromise": true
                }),
            );
        }
    }

    /// Returns a screenshot of the page, as PNG in Base64.
    pub fn screenshot(&mut self) -> String {
        // A page that is not in front is not painted, and the call would never return.
        self.call("Page.bringToFront", &json!({}));
        self.call("Page.captureScreenshot", &json!({}))["data"].as_str().unwrap().to_owned()
    }

    /// Changes the size of the page, as on a phone or in another window.
    pub fn set_size(&mut self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Shows the page in dark mode.
    pub fn set_dark(&mut self) {
        let dark = json!([{ "name": "prefers-color-scheme", "value": "dark" }]);
        self.call("Emulation.setEmulatedMedia", &json!({ "features": dark }));
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.last += 1;
        let request = json!({ "id": self.last, "method": method, "params": parameters });
        self.socket.send(Message::text(request.to_string())).unwrap();
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let answer: Value = serde_json::from_str(&text).unwrap();
            if answer["id"] == self.last {
                return answer["result"].clone();
            }
        }
    }
}
