"""The logic of a chat. Tagcast posts events, and the answer contains commands."""

import hashlib
import hmac
import json
import os
import sys
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

MEMBERS = {"anna", "bert"}
SECRET = os.environ["CHAT_SECRET"].encode()


def is_genuine(headers, body):
    stamp = headers.get("X-Tagcast-Timestamp", "")
    signature = hmac.new(SECRET, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return (
        hmac.compare_digest(signature, headers.get("X-Tagcast-Signature", ""))
        and abs(time.time() - int(stamp)) <= 60
    )


def commands(event):
    name = event.get("user") or parse_qs(event.get("query", "")).get("name", [""])[0]

    def tell(text):
        return {"command": "publish", "to": "resource", "message": {"from": name, "text": text}}

    match event["event"]:
        case "open" if name in MEMBERS:
            return [{"command": "accept", "user": name, "tags": {"name": name}}, tell("has come")]
        case "open":
            return [{"command": "refuse", "reason": "you are not on the list"}]
        case "message":
            return [tell(event.get("text", ""))]
        case "close":
            return [tell("has left")]
    return []


class Chat(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        genuine = is_genuine(self.headers, body)
        answer = json.dumps(commands(json.loads(body))).encode() if genuine else b""
        self.send_response(200 if genuine else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


os.chdir(Path(__file__).parent)
port = int(sys.argv[1]) if len(sys.argv) > 1 else 8001
ThreadingHTTPServer(("127.0.0.1", port), Chat).serve_forever()
