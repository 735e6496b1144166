<?php
/*
 * A long job that reports its progress to the page that started it.
 *
 * In a web server: script.php?uuid=<the page's UUID>&server=127.0.0.1:8094
 * On a terminal:   php script.php <the page's UUID> 127.0.0.1:8094
 */

$uuid = $_GET['uuid'] ?? $argv[1] ?? '';
$server = $_GET['server'] ?? $argv[2] ?? '127.0.0.1:8094';

/** Opens a WebSocket as a PHP client: one answer, then one frame with each read. */
function connect(string $server)
{
    $socket = stream_socket_client("tcp://$server", $code, $why, 5);
    if (!$socket) {
        throw new RuntimeException("$server: $why");
    }
    stream_set_timeout($socket, 5);
    $key = base64_encode(random_bytes(16));
    fwrite($socket, "GET /php HTTP/1.1\r\nHost: $server\r\nUpgrade: websocket\r\n"
        . "Connection: Upgrade\r\nSec-WebSocket-Key: $key\r\nSec-WebSocket-Version: 13\r\n"
        . "Client-Type: php\r\n\r\n");
    $answer = fread($socket, 1024);
    if (!str_starts_with($answer, 'HTTP/1.1 101')) {
        throw new RuntimeException("no WebSocket: $answer");
    }
    await($socket, 'ready');
    return $socket;
}

/** Sends one packet and waits until the server holds it. */
function talk($socket, array $packet): void
{
    $text = json_encode($packet);
    $length = strlen($text);
    $head = $length < 126 ? chr(0x80 | $length) : chr(0xfe) . pack('n', $length);
    $mask = random_bytes(4);
    fwrite($socket, "\x81" . $head . $mask . ($text ^ str_repeat($mask, intdiv($length, 4) + 1)));
    await($socket, 'next');
}

/** Reads one frame, which must be a packet with this opcode. */
function await($socket, string $opcode): void
{
    $frame = (string) fread($socket, 8192);
    $offset = strlen($frame) > 1 && (ord($frame[1]) & 127) === 126 ? 4 : 2;
    $packet = json_decode(substr($frame, $offset), true);
    if (($packet['opcode'] ?? '') !== $opcode) {
        throw new RuntimeException("expected $opcode, got " . bin2hex($frame));
    }
}

$socket = connect($server);
foreach ([0, 25, 50, 75, 100] as $percent) {
    usleep(50000); // the work itself
    $text = $percent < 100 ? "$percent % done" : 'all done';
    talk($socket, ['opcode' => 'feedback', 'uuid' => $uuid,
        'message' => ['percent' => $percent, 'text' => $text]]);
}
fwrite($socket, "\x88\x80" . random_bytes(4)); // Close
echo "reported\n";
