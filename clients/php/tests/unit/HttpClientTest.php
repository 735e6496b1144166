<?php

declare(strict_types=1);

namespace Tagcast\Client\Tests\unit;

use InvalidArgumentException;
use PHPUnit\Framework\TestCase;
use Psr\Log\AbstractLogger;
use Tagcast\Client\Ack;
use Tagcast\Client\Config;
use Tagcast\Client\Exception\AskException;
use Tagcast\Client\Exception\AuthException;
use Tagcast\Client\Exception\RateLimitedException;
use Tagcast\Client\Exception\RequestException;
use Tagcast\Client\Exception\TagcastException;
use Tagcast\Client\Exception\TooLargeException;
use Tagcast\Client\Exception\UnavailableException;
use Tagcast\Client\HttpClient;
use Tagcast\Client\Publication;
use Tagcast\Client\Report;
use Tagcast\Client\Tests\support\FakeServer;
use Tagcast\Client\Text;
use Tagcast\Client\To;

/** The client against prepared answers. */
final class HttpClientTest extends TestCase
{
    private const OK = '{"matched":1,"workers":1}';

    /** @param list<list<string|float>> $connections */
    private function start(array $connections, mixed ...$config): FakeServer
    {
        $this->server = new FakeServer($connections);
        $usual = ['url' => $this->server->url(), 'key' => 'shop', 'secret' => 's3cret', 'ids' => true];
        $this->client = new HttpClient(new Config(...$config + $usual));
        return $this->server;
    }

    private FakeServer $server;
    private HttpClient $client;

    private function failure(callable $call): TagcastException
    {
        try {
            $call();
        } catch (TagcastException $failed) {
            return $failed;
        }
        self::fail('no exception');
    }

    public function testAPublicationIsOneRequestWithAnId(): void
    {
        $server = $this->start([[FakeServer::answer(200, self::OK)]]);
        $data = ['text' => 'Zoë / 1.0', 'n' => 1.0];
        $report = $this->client->publish(To::tags(['room' => '1']), $data, 'price', ['u'], maxRecipients: 9);
        self::assertEquals(new Report(1, 1), $report);
        $request = $server->request();
        $start = "POST /v1/apps/shop/publish HTTP/1.1\r\nHost: 127.0.0.1:$server->port\r\n";
        self::assertStringStartsWith($start, $request['head']);
        self::assertStringContainsString("\r\nAuthorization: Bearer s3cret\r\n", $request['head']);
        self::assertStringContainsString("\r\nContent-Type: application/json\r\n", $request['head']);
        self::assertMatchesRegularExpression(
            '#^\{"to":\{"tags":\{"room":"1"\}\},"message":\{"text":"Zoë / 1.0","n":1.0\},"event":"price",'
            . '"id":"[0-9a-f]{32}","except":\["u"\],"max_recipients":9\}$#',
            $request['body'],
        );
    }

    public function testEachKindOfRecipientIsWrittenAsTheApiReadsIt(): void
    {
        $written = static fn (To $to): string => json_encode((new Publication($to, 1))->toJson()['to']);
        self::assertSame('"all"', $written(To::all()));
        self::assertSame('{"tags":{}}', $written(To::tags([])));
        self::assertSame('{"uuid":"x"}', $written(To::uuid('x')));
        self::assertSame('{"ident":"x"}', $written(To::ident('x')));
        self::assertSame('{"expr":"a=1"}', $written(To::expr('a=1')));
        self::assertSame('{"expr":{"tag":"a","is":1}}', $written(To::expr(['tag' => 'a', 'is' => 1])));
        self::assertSame(['text' => 'x'], (new Publication(To::all(), new Text('x')))->content());
    }

    public function testDefaultTagsGoWithTagQueriesOnly(): void
    {
        $answer = FakeServer::answer(200, self::OK);
        $server = $this->start([[$answer, $answer, $answer]], defaultTags: ['site' => 'fr', 'room' => '0'], ids: false);
        $this->client->publish(To::tags(['room' => '1']), 1);
        $this->client->broadcast(1);
        $this->client->publish(To::expr('a=1'), 1, dryRun: true);
        self::assertSame('{"to":{"tags":{"room":"1","site":"fr"}},"message":1}', $server->request()['body']);
        self::assertSame('{"to":"all","message":1}', $server->request()['body']);
        self::assertSame('{"to":{"expr":"a=1"},"message":1,"dry_run":true}', $server->request()['body']);
    }

    public function testWhatIsNotAMessageIsRefusedBeforeItIsSent(): void
    {
        $client = new HttpClient(new Config('http://127.0.0.1:9'));
        foreach ([null, "\xff", INF, fopen('php://memory', 'r')] as $data) {
            try {
                $client->broadcast($data);
                self::fail('no exception');
            } catch (InvalidArgumentException $invalid) {
                self::assertNotSame('', $invalid->getMessage());
            }
        }
        $this->expectExceptionMessage("The tag named 'a' has a value which is not an integer or a string !");
        To::tags(['a' => 1.5]);
    }

    /** @return array<string, array{int, string, string, class-string}> */
    public function errors(): array
    {
        return [
            'credentials' => [401, 'invalid_credentials', '', AuthException::class],
            'permission' => [403, 'permission_denied', '', AuthException::class],
            'host' => [403, 'invalid_host', '', AuthException::class],
            'member' => [400, 'unknown_member', '', RequestException::class],
            'recipients' => [409, 'too_many_recipients', '', RequestException::class],
            'version' => [409, 'version_conflict', '', RequestException::class],
            'endpoint' => [404, 'not_found', '', RequestException::class],
            'size' => [413, 'payload_too_large', ',"limit":5,"setting":"maxMessage"', TooLargeException::class],
            'expression' => [422, 'invalid_expression', ',"at":3', RequestException::class],
            'rate' => [429, 'rate_limited', ',"name":"publications","retry_after_ms":1500', RateLimitedException::class],
            'fault' => [500, 'internal_error', '', UnavailableException::class],
            'busy' => [503, 'busy', '', UnavailableException::class],
            'same id' => [409, 'in_progress', ',"retry_after_ms":1500', UnavailableException::class],
        ];
    }

    /**
     * @dataProvider errors
     * @param class-string $class
     */
    public function testAnErrorIsAnExceptionThatSaysWhatTheCallerCanDo(
        int $status,
        string $code,
        string $more,
        string $class,
    ): void {
        $error = '{"error":{"code":"' . $code . '","message":"why","request_id":"r1"' . $more . '}}';
        $this->start([[FakeServer::answer($status, $error)]], retries: 0);
        $failed = $this->failure(fn () => $this->client->broadcast(1));
        self::assertInstanceOf($class, $failed);
        self::assertSame([$code, $code, 'why'], [$failed->code, $failed->getCode(), $failed->getMessage()]);
        self::assertSame([$status, 'r1'], [$failed->status, $failed->requestId()]);
        if ($failed instanceof TooLargeException) {
            self::assertSame([5, 'maxMessage'], [$failed->limit, $failed->setting]);
        }
        if ($failed instanceof RateLimitedException) {
            self::assertSame([1.5, 'publications'], [$failed->retryAfter, $failed->name]);
        }
    }

    public function testAnAnswerOfAProxyIsAnErrorToo(): void
    {
        $this->start([["HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>"]], retries: 0);
        $failed = $this->failure(fn () => $this->client->broadcast(1));
        self::assertInstanceOf(UnavailableException::class, $failed);
        self::assertSame('http_502', $failed->code);
        self::assertTrue($failed->isOutcomeUnknown);
    }

    public function testARequestThatWasNotTakenIsSentAgainAfterTheTimeThatTheServerAsksFor(): void
    {
        $busy = FakeServer::answer(503, '{"error":{"code":"busy","message":"m"}}', "Retry-After: 1\r\n");
        $server = $this->start([[$busy, FakeServer::answer(200, self::OK)]], ids: false);
        $began = microtime(true);
        self::assertSame(1, $this->client->broadcast(1)->matched);
        self::assertGreaterThan(1.0, microtime(true) - $began);
        self::assertSame($server->request()['body'], $server->request()['body']);
    }

    public function testWhatMayHaveBeenPublishedIsRepeatedWithItsIdOnly(): void
    {
        // The server takes the request and closes the connection without an answer.
        $server = $this->start([[''], [FakeServer::answer(200, self::OK)]]);
        self::assertSame(1, $this->client->broadcast(1)->matched);
        $first = $server->request();
        self::assertStringContainsString('"id"', $first['body']);
        self::assertSame($first['body'], $server->request()['body']);

        $this->start([[''], [FakeServer::answer(200, self::OK)]], ids: false);
        $failed = $this->failure(fn () => $this->client->broadcast(1));
        self::assertInstanceOf(UnavailableException::class, $failed);
        self::assertSame(['connection_lost', true], [$failed->code, $failed->isOutcomeUnknown]);
    }

    public function testEachRepeatIsSignedAgain(): void
    {
        $busy = FakeServer::answer(503, '{"error":{"code":"busy","message":"m"}}');
        $server = $this->start([[$busy, FakeServer::answer(200, self::OK)]], signed: true);
        $this->client->broadcast(1);
        [$first, $second] = [$server->request()['head'], $server->request()['head']];
        $nonce = static fn (string $head): string =>
            preg_match('/^X-Tagcast-Nonce: (.{32})\r$/m', $head, $found) === 1 ? $found[1] : '';
        self::assertNotSame('', $nonce($first));
        self::assertNotSame($nonce($first), $nonce($second));
        self::assertStringNotContainsString('s3cret', $first . $second);
    }

    public function testAnAnswerThatComesTooLateIsAnException(): void
    {
        $this->start([['', 2.0]], timeout: 0.2, retries: 0);
        $began = microtime(true);
        $failed = $this->failure(fn () => $this->client->broadcast(1));
        self::assertLessThan(1.5, microtime(true) - $began);
        self::assertSame('timeout', $failed->code);
        self::assertTrue($failed->isOutcomeUnknown);
    }

    public function testWithoutAServerNothingWasSent(): void
    {
        $client = new HttpClient(new Config('http://127.0.0.1:1', retries: 1));
        $failed = $this->failure(fn () => $client->broadcast(1));
        self::assertInstanceOf(UnavailableException::class, $failed);
        self::assertSame(['connect_failed', false], [$failed->code, $failed->isOutcomeUnknown]);
    }

    public function testAConnectionIsKeptAndReplacedWhenTheServerHasClosedIt(): void
    {
        $answer = FakeServer::answer(200, self::OK);
        $chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            . "a\r\n{\"matched\"\r\n4;x=y\r\n:7 }\r\n0\r\nTrailer: 1\r\n\r\n";
        $closing = FakeServer::answer(200, self::OK, "Connection: close\r\n");
        $server = $this->start([[$answer, $chunked], [$closing], [$answer]], ids: false);
        self::assertSame([1, 7], [$this->client->broadcast(1)->matched, $this->client->broadcast(2)->matched]);
        $server->waitUntilClosed();
        $this->client->broadcast(3);
        $this->client->broadcast(4);
        $numbers = array_map(fn (): int => $server->request()['connection'], range(1, 4));
        self::assertSame([0, 0, 1, 2], $numbers);
    }

    /** @return array<string, array{string}> */
    public function nonsense(): array
    {
        return [
            'no HTTP' => ["SSH-2.0\r\n\r\n"],
            'no length' => ["HTTP/1.1 200 OK\r\n\r\n{}"],
            'negative length' => ["HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}"],
            'endless length' => ["HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{}"],
            'invalid chunks' => ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"],
            'no JSON' => [FakeServer::answer(200, 'hello')],
            'endless head' => ['HTTP/1.1 200 OK' . str_repeat("\r\nA: b", 20000)],
        ];
    }

    /** @dataProvider nonsense */
    public function testAnInvalidAnswerIsAnException(string $answer): void
    {
        $this->start([[$answer]], retries: 0);
        self::assertSame('invalid_answer', $this->failure(fn () => $this->client->broadcast(1))->code);
    }

    public function testABatchGoesInRequestsOfAHundredAndEachItemHasItsResult(): void
    {
        $ok = '{"status":200,"matched":1,"workers":1}';
        $bad = '{"status":422,"error":{"code":"invalid_expression","message":"m","at":2}}';
        $first = '{"results":[' . implode(',', array_fill(0, 99, $ok)) . ",$bad]}";
        $server = $this->start([[FakeServer::answer(200, $first), FakeServer::answer(200, "{\"results\":[$ok]}")]]);
        $results = $this->client->publishBatch((static function () {
            for ($n = 0; $n < 101; $n++) {
                yield new Publication(To::all(), $n);
            }
        })());
        self::assertCount(101, $results);
        self::assertInstanceOf(RequestException::class, $results[99]);
        self::assertSame(2, $results[99]->at());
        self::assertInstanceOf(Report::class, $results[100]);
        self::assertCount(100, json_decode($server->request()['body'], true)['publications']);
        $last = json_decode($server->request()['body'], true)['publications'];
        self::assertSame(100, $last[0]['message']);
        self::assertSame([], $this->client->publishBatch([]));
    }

    public function testLargeBatchesAreDividedAndAFailureEndsThem(): void
    {
        $busy = FakeServer::answer(503, '{"error":{"code":"busy","message":"m"}}');
        $first = FakeServer::answer(200, '{"results":[{"status":200,"matched":1,"workers":1}]}');
        $server = $this->start([[$first, $busy]], retries: 0);
        $large = new Publication(To::all(), str_repeat('x', 700_000));
        $results = $this->client->publishBatch([$large, $large, $large]);
        self::assertInstanceOf(Report::class, $results[0]);
        self::assertSame(['busy', 'busy'], [$results[1]->code, $results[2]->code]);
        self::assertStringContainsString("\r\nContent-Length: 7000", $server->request()['head']);
    }

    public function testFeedbackToAPageThatIsGoneReachesNoClient(): void
    {
        $gone = FakeServer::answer(404, '{"error":{"code":"connection_not_found","message":"m"}}');
        $server = $this->start([[$gone, $gone, $gone]]);
        self::assertSame(0, $this->client->feedback('u-1.ab', ['p' => 50], 'progress')->matched);
        self::assertFalse($this->client->disconnect('u', 4001, 'see you'));
        self::assertNull($this->client->connection('u'));
        $request = $server->request();
        self::assertStringStartsWith('POST /v1/apps/shop/connections/u-1.ab/feedback HTTP', $request['head']);
        $body = '#^\{"message":\{"p":50\},"event":"progress","id":"[0-9a-f]{32}"\}$#';
        self::assertMatchesRegularExpression($body, $request['body']);
        $delete = 'DELETE /v1/apps/shop/connections/u?code=4001&reason=see%20you HTTP';
        self::assertStringStartsWith($delete, $server->request()['head']);
    }

    /** @return array<string, array{int, string, string}> */
    public function unanswered(): array
    {
        return [
            'no client' => [404, 'connection_not_found', 'gone'],
            'closed' => [410, 'connection_closed', 'gone'],
            'away' => [409, 'away', 'away'],
            'timeout' => [504, 'ask_timeout', 'timeout'],
            'refused' => [422, 'refused', 'refused'],
            'unhandled' => [409, 'unhandled', 'unhandled'],
            'unsupported' => [409, 'ask_unsupported', 'unsupported'],
        ];
    }

    /** @dataProvider unanswered */
    public function testAQuestionWithoutAnAnswerSaysWhy(int $status, string $code, string $expected): void
    {
        $server = $this->start([[FakeServer::answer($status, '{"error":{"code":"' . $code . '","message":"m"}}')]]);
        $failed = $this->failure(fn () => $this->client->ask('u', ['q' => 1], 0.5));
        self::assertInstanceOf(AskException::class, $failed);
        self::assertSame([$expected, $expected], [$failed->code, $failed->getCode()]);
        self::assertSame('{"message":{"q":1},"timeout_ms":500}', $server->request()['body']);
    }

    /** @return array<string, array{string, mixed, callable(HttpClient): mixed, string, string}> */
    public function calls(): array
    {
        $page = '{"matched":1,"cursor":"c2","connections":[{"uuid":"u","ident":null,"kind":"web","tags":{"a":"1"},'
            . '"version":17,"worker":0}]}';
        $counts = '{"matched":3,"workers":1,"written":1,"slow":1,"closed":0,"waiting":1,"id":"o-1","repeated":true}';
        return [
            'ask' => [
                '{"answer":{"a":2},"took_ms":12}', ['a' => 2],
                fn (HttpClient $client): mixed => $client->ask('u', 1),
                'POST /v1/apps/shop/connections/u/ask', '{"message":1,"timeout_ms":5000}',
            ],
            'list' => [
                $page, [1, 'c2', 'u', null, 'web', ['a' => '1'], 17],
                function (HttpClient $client): array {
                    $page = $client->connections('role=admin & !(region=eu)', limit: 2, cursor: 'c1');
                    $first = $page->connections[0];
                    return [$page->matched, $page->cursor, $first->uuid, $first->ident, $first->kind, $first->tags,
                        $first->version];
                },
                'GET /v1/apps/shop/connections?expr=role%3Dadmin%20%26%20%21%28region%3Deu%29&limit=2&cursor=c1', '',
            ],
            'retag' => [
                '{"version":18,"tags":{"a":"2"}}', [18, ['a' => '2']],
                function (HttpClient $client): array {
                    $tags = $client->retag('u', ['a' => '2'], ['b'], 17);
                    return [$tags->version, $tags->tags];
                },
                'PATCH /v1/apps/shop/connections/u/tags', '{"set":{"a":"2"},"remove":["b"],"if_version":17}',
            ],
            'retag many' => [
                '{"matched":3}', 3,
                fn (HttpClient $client): int => $client->retagMatching('a?', ['a' => 1], dryRun: true),
                'POST /v1/apps/shop/connections:retag', '{"expr":"a?","set":{"a":1},"dry_run":true}',
            ],
            'disconnect many' => [
                '{"matched":4,"workers":1}', 4,
                fn (HttpClient $client): int => $client->disconnectMatching('a?', 4000, 'x', 100, 9),
                'POST /v1/apps/shop/connections:disconnect',
                '{"expr":"a?","code":4000,"reason":"x","spread_ms":100,"max_recipients":9}',
            ],
            'stats' => [
                '{"application":"shop"}', ['application' => 'shop'],
                fn (HttpClient $client): array => $client->stats(),
                'GET /v1/apps/shop/stats', '',
            ],
            'written' => [
                $counts, [3, 1, 'o-1', true, 1, 1, 0, 1],
                function (HttpClient $client): array {
                    $report = $client->publish(To::all(), 1, id: 'o-1', ack: Ack::Written, timeoutMs: 500);
                    return [$report->matched, $report->workers, $report->id, $report->repeated, $report->written,
                        $report->slow, $report->closed, $report->waiting];
                },
                'POST /v1/apps/shop/publish',
                '{"to":"all","message":1,"id":"o-1","ack":"written","timeout_ms":500}',
            ],
        ];
    }

    /** @dataProvider calls */
    public function testEachCallIsWrittenAndReadAsTheApiDescribes(
        string $answer,
        mixed $expected,
        callable $call,
        string $request,
        string $body,
    ): void {
        $server = $this->start([[FakeServer::answer(200, $answer)]]);
        self::assertSame($expected, $call($this->client));
        $sent = $server->request();
        self::assertSame("$request HTTP/1.1", strtok($sent['head'], "\r"));
        self::assertSame($body, $sent['body']);
    }

    public function testTheLogNamesRepeatsAndNoSecret(): void
    {
        $logger = new class () extends AbstractLogger {
            /** @var list<string> */
            public array $lines = [];

            public function log($level, $message, array $context = []): void
            {
                $this->lines[] = "$level " . json_encode($context);
            }
        };
        $busy = FakeServer::answer(503, '{"error":{"code":"busy","message":"m"}}');
        $server = new FakeServer([[$busy, FakeServer::answer(200, self::OK)]]);
        $config = new Config($server->url(), 'shop', 's3cret');
        (new HttpClient($config, logger: $logger))->broadcast('a message');
        self::assertCount(1, $logger->lines);
        self::assertStringContainsString('warning {"method":"POST"', $logger->lines[0]);
        self::assertStringContainsString('"code":"busy"', $logger->lines[0]);
        self::assertStringNotContainsString('s3cret', $logger->lines[0] . print_r($config, true));
        self::assertStringNotContainsString('a message', $logger->lines[0]);
    }
}
