<?php

declare(strict_types=1);

namespace Tagcast\Client\WebSocket;

use Tagcast\Client\Exception\AuthException;
use Tagcast\Client\Exception\RequestException;
use Tagcast\Client\Exception\UnavailableException;
use Tagcast\Client\Net\Address;
use Tagcast\Client\Net\Socket;
use Tagcast\Client\Net\SocketException;
use Tagcast\Client\Net\SocketFailure;

/**
 * A kept WebSocket that sends requests of Gomoob's protocol. The server does not acknowledge them: it closes the
 * connection if it refuses one, which the next call finds.
 */
final class GomoobSocket
{
    /** By this name the server knows clients of Gomoob's protocol. */
    private const AGENT = 'websocket-client-php';

    /** Close codes of a server that goes away in an orderly way: nothing was refused. */
    private const ORDERLY = [1000, 1001, 1012, 1013];

    /** Seconds that the end of a script waits for the server. */
    private const CLOSE_TIMEOUT = 2.0;

    private ?Socket $socket = null;
    private FrameReader $frames;

    public function __construct(
        private readonly Address $address,
        private readonly float $connectTimeout = 2.0,
        private readonly float $timeout = 5.0,
        private readonly ?string $caFile = null,
    ) {
        $this->frames = new FrameReader();
    }

    public function __destruct()
    {
        try {
            $this->close();
        } catch (RequestException) {
            // A destructor has no caller to tell.
        }
    }

    /**
     * Sends one text; connects first if there is no connection.
     *
     * @throws RequestException if the server has refused an earlier text; this one is not sent
     * @throws AuthException if it refuses the connection
     * @throws UnavailableException if it cannot be reached
     */
    public function send(string $text): void
    {
        try {
            if ($this->socket !== null && !$this->isAlive($this->socket)) {
                $this->forget();
            }
            $this->socket ??= $this->connect();
            $this->socket->write(Frame::text($text), microtime(true) + $this->timeout);
        } catch (SocketException $failed) {
            $this->forget();
            throw new UnavailableException($failed->failure->value, $failed->getMessage(), 0, [], $failed);
        }
    }

    /**
     * Ends the connection, after the server has read everything that was sent.
     *
     * @throws RequestException if the server has refused a text
     */
    public function close(): void
    {
        $socket = $this->socket;
        if ($socket === null) {
            return;
        }
        $deadline = microtime(true) + self::CLOSE_TIMEOUT;
        try {
            if ($this->isAlive($socket)) {
                $socket->write(Frame::close(1000), $deadline);
                // What the server has not read is lost when a socket with unread bytes is closed.
                while (!$this->hasClosed($this->frames->add($socket->read($deadline)), $socket)) {
                    continue;
                }
            }
        } catch (SocketException) {
            // It is closed, which is what was wanted.
        } finally {
            $this->forget();
        }
    }

    /** Handles what has arrived. False: the server has closed the connection in an orderly way. */
    private function isAlive(Socket $socket): bool
    {
        try {
            $isForked = !$socket->isOwn();
            while (!$isForked && ($bytes = $socket->readNow()) !== '') {
                if ($this->hasClosed($this->frames->add($bytes), $socket)) {
                    return false;
                }
            }
            return !$isForked;
        } catch (SocketException $failed) {
            if ($failed->failure === SocketFailure::Lost) {
                return false;
            }
            throw $failed;
        }
    }

    /**
     * Answers pings, ignores messages, and finds the Close.
     *
     * @param list<Frame> $frames
     */
    private function hasClosed(array $frames, Socket $socket): bool
    {
        foreach ($frames as $frame) {
            if ($frame->opcode === Frame::PING) {
                $socket->write(Frame::pong($frame->payload), microtime(true) + $this->timeout);
            }
            if ($frame->opcode === Frame::CLOSE) {
                $code = $frame->closeCode();
                if ($code !== null && !in_array($code, self::ORDERLY, true)) {
                    $this->forget();
                    $reason = $frame->closeReason();
                    $why = $reason === '' ? "with the code $code" : "with the code $code: $reason";
                    throw new RequestException('refused', "The server closed the connection $why", 0, [
                        'close_code' => $code,
                        'close_reason' => $reason,
                    ]);
                }
                return true;
            }
        }
        return false;
    }

    private function connect(): Socket
    {
        $deadline = microtime(true) + $this->connectTimeout + $this->timeout;
        $socket = Socket::connect($this->address, $this->caFile, $this->connectTimeout);
        $key = base64_encode(random_bytes(16));
        $path = $this->address->path === '' ? '/' : $this->address->path;
        $query = $this->address->query === '' ? '' : "?{$this->address->query}";
        $agent = self::AGENT;
        $socket->write(
            "GET $path$query HTTP/1.1\r\nHost: {$this->address->host}\r\nUser-Agent: $agent\r\n"
            . "Connection: Upgrade\r\nUpgrade: websocket\r\n"
            . "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: $key\r\n\r\n",
            $deadline,
        );
        $bytes = '';
        while (!str_contains($bytes, "\r\n\r\n")) {
            $bytes .= $socket->read($deadline);
            if (strlen($bytes) > 65536) {
                break;
            }
        }
        [$head, $rest] = explode("\r\n\r\n", $bytes, 2) + [1 => ''];
        $this->check($head, $rest, $key);
        $this->frames = new FrameReader();
        if ($this->hasClosed($this->frames->add($rest), $socket)) {
            throw new SocketException('The server closed the connection.', SocketFailure::Lost);
        }
        return $socket;
    }

    private function check(string $head, string $rest, string $key): void
    {
        $status = preg_match('#^HTTP/1\.1 ([0-9]{3})#', $head, $found) === 1 ? (int) $found[1] : 0;
        $expected = base64_encode(sha1($key . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11', true));
        $accept = '/^Sec-WebSocket-Accept:\s*' . preg_quote($expected, '/') . '\s*$/mi';
        if ($status === 101 && preg_match($accept, $head) === 1) {
            return;
        }
        $answer = json_decode($rest, true);
        $error = is_array($answer) && is_string($answer['error'] ?? null) ? $answer['error'] : "status $status";
        $message = "The server refuses the WebSocket: $error";
        throw match ($status) {
            401, 403 => new AuthException("http_$status", $message, $status),
            400, 404, 426 => new RequestException("http_$status", $message, $status),
            default => new UnavailableException("http_$status", $message, $status),
        };
    }

    private function forget(): void
    {
        $this->socket?->close();
        $this->socket = null;
    }
}
