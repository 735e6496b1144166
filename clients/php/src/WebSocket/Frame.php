<?php

declare(strict_types=1);

namespace Tagcast\Client\WebSocket;

/** A frame of RFC 6455. */
final class Frame
{
    public const TEXT = 1;
    public const CLOSE = 8;
    public const PING = 9;
    public const PONG = 10;

    public function __construct(public readonly int $opcode, public readonly string $payload)
    {
    }

    /** The bytes of a text message. */
    public static function text(string $text): string
    {
        return self::masked(self::TEXT, $text);
    }

    /** The bytes of a pong. */
    public static function pong(string $payload): string
    {
        return self::masked(self::PONG, $payload);
    }

    /** The bytes of a Close. */
    public static function close(int $code): string
    {
        return self::masked(self::CLOSE, pack('n', $code));
    }

    /** The code of a Close; null if it has none. */
    public function closeCode(): ?int
    {
        return strlen($this->payload) < 2 ? null : (int) unpack('n', $this->payload)[1];
    }

    /** The reason of a Close. */
    public function closeReason(): string
    {
        return substr($this->payload, 2);
    }

    /** RFC 6455 section 5.3: what a client sends is masked. */
    private static function masked(int $opcode, string $payload): string
    {
        $length = strlen($payload);
        $size = match (true) {
            $length < 126 => pack('C', 0x80 | $length),
            $length < 65536 => pack('Cn', 0x80 | 126, $length),
            default => pack('CJ', 0x80 | 127, $length),
        };
        $mask = random_bytes(4);
        return pack('C', 0x80 | $opcode) . $size . $mask . ($payload ^ str_repeat($mask, intdiv($length, 4) + 1));
    }
}
