<?php

declare(strict_types=1);

namespace Tagcast\Client\Tests\unit;

use PHPUnit\Framework\TestCase;
use Tagcast\Client\Exception\AskException;
use Tagcast\Client\Exception\RequestException;
use Tagcast\Client\NullClient;
use Tagcast\Client\Publication;
use Tagcast\Client\RecordingClient;
use Tagcast\Client\Report;
use Tagcast\Client\To;

final class OtherClientsTest extends TestCase
{
    public function testAClientWithoutAServerReachesNoClient(): void
    {
        $client = new NullClient();
        self::assertEquals(new Report(0, 0), $client->broadcast('x'));
        self::assertEquals([new Report(0, 0), new Report(0, 0)], $client->publishBatch([
            new Publication(To::all(), 1),
            new Publication(To::all(), 2),
        ]));
        self::assertSame([0, null, false, 0, 0], [$client->connections()->matched, $client->connection('u'),
            $client->disconnect('u'), $client->disconnectMatching('a?'), $client->retagMatching('a?', ['a' => 1])]);
        $this->expectException(RequestException::class);
        $client->retag('u', ['a' => 1]);
    }

    public function testARecordingClientPassesEveryCallOn(): void
    {
        $client = new RecordingClient(new RecordingClient($inner = new RecordingClient()));
        $client->publish(To::tags(['a' => 1]), 'one', maxRecipients: 5);
        $client->publishBatch([new Publication(To::ident('job'), 'two')]);
        $client->feedback('u', 'three', 'event');
        self::assertEquals([
            new Publication(To::tags(['a' => 1]), 'one', maxRecipients: 5),
            new Publication(To::ident('job'), 'two'),
            new Publication(To::uuid('u'), 'three', 'event'),
        ], $inner->publications());
        $client->assertFeedback('u');
        $client->reset();
        $client->assertNothingPublished();
        $this->expectException(AskException::class);
        $client->ask('u', 1);
    }
}
