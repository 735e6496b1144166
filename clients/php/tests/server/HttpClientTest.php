<?php

declare(strict_types=1);

namespace Tagcast\Client\Tests\server;

use Nyholm\Psr7\Factory\Psr17Factory;
use Tagcast\Client\Ack;
use Tagcast\Client\Exception\AuthException;
use Tagcast\Client\Exception\RequestException;
use Tagcast\Client\Exception\TagcastException;
use Tagcast\Client\Exception\TooLargeException;
use Tagcast\Client\HttpClient;
use Tagcast\Client\Publication;
use Tagcast\Client\Report;
use Tagcast\Client\Tests\support\Page;
use Tagcast\Client\Tests\support\ServerTestCase;
use Tagcast\Client\Tests\support\StreamHttpClient;
use Tagcast\Client\Text;
use Tagcast\Client\To;

final class HttpClientTest extends ServerTestCase
{
    /** @return array<string, array{0: callable(): HttpClient, 1?: string}> clients, and where their pages connect */
    public function clients(): array
    {
        $factory = new Psr17Factory();
        return [
            'bearer' => [fn () => self::client()],
            'signed' => [fn () => self::client(signed: true)],
            'TLS' => [
                fn () => self::client(url: self::env('TAGCAST_TLS_URL'), caFile: self::env('TAGCAST_CA')),
                'TAGCAST_TLS_URL',
            ],
            'Unix socket' => [fn () => self::client(url: self::env('TAGCAST_UNIX_URL')), 'TAGCAST_UNIX_PAGES'],
            'PSR-18' => [fn () => new HttpClient(self::config(), new StreamHttpClient(), $factory, $factory)],
        ];
    }

    /**
     * @dataProvider clients
     * @param callable(): HttpClient $make
     */
    public function testEachTransportReportsTheSame(callable $make, string $pages = 'TAGCAST_URL'): void
    {
        $client = $make();
        $room = bin2hex(random_bytes(8));
        $page = static fn (string $language): Page => new Page(
            self::env($pages),
            '/web',
            self::KEY,
            ['room' => $room, 'language' => $language],
            self::env('TAGCAST_CA'),
        );
        [$french, $english] = [$page('FR'), $page('EN')];
        $none = $client->publish(To::tags(['room' => "$room-x"]), 'none');
        self::assertSame([0, 0, null], [$none->matched, $none->workers, $none->away]);
        self::assertSame(2, $client->publish(To::tags(['room' => $room]), 'both')->matched);
        self::assertSame(1, $client->publish(To::expr("room=$room & !language=EN"), ['é' => 1.0])->matched);
        self::assertSame(1, $client->publish(To::uuid($english->uuid), new Text('a "b"'), 'event')->matched);
        self::assertSame(1, $client->feedback($french->uuid, ['progress' => 50])->matched);
        $report = $client->publish(To::tags(['room' => $room]), 'but one', except: [$french->uuid]);
        self::assertSame(1, $report->matched);
        self::assertSame(2, $client->publish(To::tags(['room' => $room]), 'nobody', dryRun: true)->matched);
        self::assertNull($client->publish(To::tags(['room' => $room]), 'last', ack: Ack::None)->matched);
        foreach (['{"opcode":"broadcast","message":"both"}', '{"opcode":"broadcast","message":{"é":1.0}}',
            '{"opcode":"feedback","message":{"progress":50}}', '{"opcode":"broadcast","message":"last"}'] as $expected) {
            self::assertSame($expected, $french->receive());
        }
        foreach (['{"opcode":"broadcast","message":"both"}', '{"opcode":"feedback","message":"a \"b\""}',
            '{"opcode":"broadcast","message":"but one"}', '{"opcode":"broadcast","message":"last"}'] as $expected) {
            self::assertSame($expected, $english->receive());
        }
    }

    public function testABatchIsPublishedInOrderAndEachItemHasItsResult(): void
    {
        $room = bin2hex(random_bytes(8));
        $page = self::page(['room' => $room]);
        $numbered = static fn (int $n): Publication => new Publication(To::tags(['room' => $room]), $n);
        $publications = array_map($numbered, range(0, 249));
        $publications[120] = new Publication(To::expr('room='), 120);
        $results = self::client()->publishBatch($publications);
        self::assertCount(250, $results);
        self::assertInstanceOf(RequestException::class, $results[120]);
        self::assertSame('invalid_expression', $results[120]->code);
        foreach (array_diff(range(0, 249), [120]) as $n) {
            self::assertSame("{\"opcode\":\"broadcast\",\"message\":$n}", $page->receive());
            self::assertInstanceOf(Report::class, $results[$n]);
        }
    }

    public function testAThousandPublicationsArriveInOrder(): void
    {
        $room = bin2hex(random_bytes(8));
        $page = self::page(['room' => $room]);
        $client = self::client();
        for ($n = 0; $n < 1000; $n++) {
            $client->publish(To::tags(['room' => $room]), $n);
        }
        for ($n = 0; $n < 1000; $n++) {
            self::assertSame("{\"opcode\":\"broadcast\",\"message\":$n}", $page->receive());
        }
    }

    public function testAChildProcessHasAConnectionOfItsOwn(): void
    {
        $room = bin2hex(random_bytes(8));
        $page = self::page(['room' => $room]);
        $command = [PHP_BINARY, __DIR__ . '/../support/fork.php', self::env('TAGCAST_URL'), self::KEY,
            self::env('TAGCAST_SECRET'), $room];
        $process = proc_open($command, [1 => ['pipe', 'w']], $pipes);
        self::assertIsResource($process);
        self::assertSame("100\n101\n", stream_get_contents($pipes[1]));
        self::assertSame(0, proc_close($process));
        self::assertSame('{"opcode":"broadcast","message":"before"}', $page->receive());
    }

    public function testErrorsOfTheServerAreExceptions(): void
    {
        $client = self::client();
        $failures = [
            [AuthException::class, 'invalid_credentials', null, fn () => self::client(secret: 'wrong')->broadcast(1)],
            [AuthException::class, 'missing_credentials', null, fn () => self::client(secret: null)->broadcast(1)],
            [AuthException::class, 'invalid_signature', null,
                fn () => self::client(secret: 'wrong', signed: true)->broadcast(1)],
            [RequestException::class, 'invalid_uuid', '/to/uuid', fn () => $client->publish(To::uuid('x'), 1)],
            [RequestException::class, 'invalid_value', '/event', fn () => $client->broadcast(1, 'an event')],
            [RequestException::class, 'invalid_expression', 5, fn () => $client->publish(To::expr('room='), 1)],
            [TooLargeException::class, 'payload_too_large', null,
                fn () => $client->broadcast(str_repeat('x', 5_300_000))],
        ];
        foreach ($failures as [$class, $code, $at, $call]) {
            try {
                $call();
                self::fail($code);
            } catch (TagcastException $failed) {
                self::assertSame([$class, $code, $at], [$failed::class, $failed->code, $failed->at()]);
            }
        }
        self::assertSame(0, $client->publish(To::tags(['nobody' => 'here']), 1)->matched);
    }

    public function testUuidsOfTheServerAreGenuine(): void
    {
        $client = self::client(uuidKey: self::env('TAGCAST_UUID_KEY'));
        $uuid = self::page()->uuid;
        self::assertTrue($client->verifyUuid($uuid));
        self::assertFalse($client->verifyUuid(substr($uuid, 0, 36)));
    }

    public function testFeedbackToAPageThatHasLeftReachesNoClient(): void
    {
        $page = self::page();
        $uuid = $page->uuid;
        unset($page);
        $client = self::client();
        $deadline = microtime(true) + 10;
        while ($client->feedback($uuid, 1)->matched !== 0 && microtime(true) < $deadline) {
            usleep(10_000);
        }
        self::assertSame(0, $client->feedback($uuid, 1)->matched);
    }
}
