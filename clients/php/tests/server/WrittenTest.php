<?php

declare(strict_types=1);

namespace Tagcast\Client\Tests\server;

use Tagcast\Client\Ack;
use Tagcast\Client\Tests\support\ServerTestCase;
use Tagcast\Client\To;

final class WrittenTest extends ServerTestCase
{
    public function testTheReportCountsSocketsThatTookTheMessage(): void
    {
        $room = bin2hex(random_bytes(8));
        $page = self::page(['room' => $room]);
        $report = self::client()->publish(To::tags(['room' => $room]), 'x', ack: Ack::Written, timeoutMs: 5000);
        self::assertSame('{"opcode":"broadcast","message":"x"}', $page->receive());
        $counts = [$report->matched, $report->written, $report->slow, $report->closed, $report->waiting];
        self::assertSame([1, 1, 0, 0, 0], $counts);
    }
}
