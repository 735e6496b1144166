<?php

declare(strict_types=1);

namespace Tagcast\Client\Tests\server;

use Tagcast\Client\Exception\AskException;
use Tagcast\Client\Tests\support\ServerTestCase;

final class AskTest extends ServerTestCase
{
    public function testAPageAnswersIsTooSlowAndLeaves(): void
    {
        $command = [PHP_BINARY, __DIR__ . '/../support/answering_page.php', self::env('TAGCAST_URL'), self::KEY];
        $process = proc_open($command, [1 => ['pipe', 'w']], $pipes);
        self::assertIsResource($process);
        $uuid = trim((string) fgets($pipes[1]));
        $client = self::client();
        self::assertSame(42, $client->ask($uuid, ['double' => 21]));
        self::assertSame('timeout', $this->failure(fn () => $client->ask($uuid, ['silence' => true], 0.2)));
        self::assertSame('gone', $this->failure(fn () => $client->ask($uuid, 'leave')));
        proc_close($process);
        self::assertSame('gone', $this->failure(fn () => $client->ask($uuid, 1)));
    }

    private function failure(callable $call): string
    {
        try {
            $call();
        } catch (AskException $failed) {
            return $failed->code;
        }
        self::fail('no exception');
    }
}
