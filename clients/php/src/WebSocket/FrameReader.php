<?php

declare(strict_types=1);

namespace Tagcast\Client\WebSocket;

/** Divides the bytes of a server into frames. The payload of messages is not kept: this client does not read them. */
final class FrameReader
{
    /** RFC 6455 section 5.5: control frames have at most this many bytes. */
    private const CONTROL_MAX = 125;

    private string $bytes = '';

    /** Bytes of a message that are skipped when they arrive. */
    private int $skipped = 0;

    /**
     * Adds bytes and returns the control frames that are complete.
     *
     * @return list<Frame>
     */
    public function add(string $bytes): array
    {
        $this->bytes .= $bytes;
        $frames = [];
        while (true) {
            $drop = min($this->skipped, strlen($this->bytes));
            $this->bytes = substr($this->bytes, $drop);
            $this->skipped -= $drop;
            $head = $this->skipped > 0 ? null : $this->head();
            if ($head === null) {
                return $frames;
            }
            [$opcode, $size, $length] = $head;
            if ($opcode < Frame::CLOSE || $length > self::CONTROL_MAX) {
                $this->skipped = $size + $length;
                continue;
            }
            if (strlen($this->bytes) < $size + $length) {
                return $frames;
            }
            $frames[] = new Frame($opcode, substr($this->bytes, $size, $length));
            $this->bytes = substr($this->bytes, $size + $length);
        }
    }

    /**
     * Opcode, bytes of the head, and bytes of the payload of the next frame; null if its head is not complete.
     *
     * @return array{int, int, int}|null
     */
    private function head(): ?array
    {
        if (strlen($this->bytes) < 2) {
            return null;
        }
        $length = ord($this->bytes[1]) & 0x7f;
        $size = match ($length) {
            126 => 4,
            127 => 10,
            default => 2,
        };
        if (strlen($this->bytes) < $size) {
            return null;
        }
        $length = match ($size) {
            4 => (int) unpack('n', $this->bytes, 2)[1],
            10 => (int) unpack('J', $this->bytes, 2)[1],
            default => $length,
        };
        return [ord($this->bytes[0]) & 0x0f, $size, max(0, $length)];
    }
}
