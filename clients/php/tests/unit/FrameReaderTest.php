<?php

declare(strict_types=1);

namespace Tagcast\Client\Tests\unit;

use PHPUnit\Framework\TestCase;
use Tagcast\Client\WebSocket\Frame;
use Tagcast\Client\WebSocket\FrameReader;

final class FrameReaderTest extends TestCase
{
    public function testControlFramesAreFoundHoweverTheBytesAreDivided(): void
    {
        $bytes = "\x81\x05hello" . "\x89\x02hi" . "\x82\x7e\x01\x00" . str_repeat("\x88", 256)
            . "\x81\x7f\0\0\0\0\0\1\0\0" . str_repeat('x', 65536) . "\x8a\x00" . "\x88\x08\x03\xf0reason";
        foreach ([1, 2, 3, 7, 100, strlen($bytes)] as $size) {
            $reader = new FrameReader();
            $frames = array_merge(...array_map($reader->add(...), str_split($bytes, $size)));
            $close = new Frame(Frame::CLOSE, "\x03\xf0reason");
            self::assertEquals([new Frame(Frame::PING, 'hi'), new Frame(Frame::PONG, ''), $close], $frames);
            self::assertSame([1008, 'reason'], [$frames[2]->closeCode(), $frames[2]->closeReason()]);
        }
        self::assertNull((new Frame(Frame::CLOSE, ''))->closeCode());
    }

    public function testWhatIsSentIsMaskedInEachLength(): void
    {
        foreach ([0, 1, 125, 126, 65535, 65536] as $length) {
            $text = substr(str_repeat('abcdefg', intdiv($length, 7) + 1), 0, $length);
            $bytes = Frame::text($text);
            $head = $length < 126 ? 2 : ($length < 65536 ? 4 : 10);
            self::assertSame(0x81, ord($bytes[0]));
            self::assertSame(0x80, ord($bytes[1]) & 0x80);
            $mask = substr($bytes, $head, 4);
            $payload = substr($bytes, $head + 4);
            self::assertSame($text, $payload ^ substr(str_repeat($mask, intdiv($length, 4) + 1), 0, $length));
        }
    }
}
