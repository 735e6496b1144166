<?php

declare(strict_types=1);

namespace Tagcast\Client\Tests\support;

use RuntimeException;
use Tagcast\Client\Net\Address;
use Tagcast\Client\Net\Socket;
use Tagcast\Client\WebSocket\Frame;

/** A page that is connected by WebSocket, and what it receives. */
final class Page
{
    private const TIMEOUT = 10.0;

    /** The UUID that the server gave; empty in Gomoob's protocol. */
    public readonly string $uuid;

    private readonly Socket $socket;
    private string $bytes = '';

    /** @param array<string, string|int> $tags */
    public function __construct(string $url, string $path, string $key, array $tags = [], ?string $caFile = null)
    {
        $address = Address::parse($url);
        $this->socket = Socket::connect($address, $caFile, self::TIMEOUT);
        $query = http_build_query(['key' => $key, 'tags' => json_encode((object) $tags)]);
        $this->socket->write("GET $path?$query HTTP/1.1\r\nHost: {$address->host}\r\nUser-Agent: test\r\n"
            . "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            . "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", $this->deadline());
        while (!str_contains($this->bytes, "\r\n\r\n")) {
            $this->bytes .= $this->socket->read($this->deadline());
        }
        [$head, $this->bytes] = explode("\r\n\r\n", $this->bytes, 2);
        if (!str_starts_with($head, 'HTTP/1.1 101')) {
            throw new RuntimeException($head . $this->bytes);
        }
        $this->uuid = $path === '/web' ? json_decode($this->receive(), true)['uuid'] : '';
    }

    /** The next message. */
    public function receive(): string
    {
        while (true) {
            $opcode = ord($this->take(1)) & 0x0f;
            $length = ord($this->take(1));
            $length = match ($length) {
                126 => unpack('n', $this->take(2))[1],
                127 => unpack('J', $this->take(8))[1],
                default => $length,
            };
            $payload = $this->take($length);
            if ($opcode === Frame::TEXT) {
                return $payload;
            }
        }
    }

    /** Sends a message. */
    public function send(string $text): void
    {
        $this->socket->write(Frame::text($text), $this->deadline());
    }

    private function take(int $length): string
    {
        while (strlen($this->bytes) < $length) {
            $this->bytes .= $this->socket->read($this->deadline());
        }
        $taken = substr($this->bytes, 0, $length);
        $this->bytes = substr($this->bytes, $length);
        return $taken;
    }

    private function deadline(): float
    {
        return microtime(true) + self::TIMEOUT;
    }
}
