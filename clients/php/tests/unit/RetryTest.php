<?php

declare(strict_types=1);

namespace Tagcast\Client\Tests\unit;

use PHPUnit\Framework\TestCase;
use Tagcast\Client\Exception\AuthException;
use Tagcast\Client\Exception\RateLimitedException;
use Tagcast\Client\Exception\RequestException;
use Tagcast\Client\Exception\TagcastException;
use Tagcast\Client\Exception\UnavailableException;
use Tagcast\Client\Http\Retry;

final class RetryTest extends TestCase
{
    /** @return array<string, array{TagcastException, bool, bool}> an error; is it repeated without, and with an id? */
    public function failures(): array
    {
        $unavailable = static fn (string $code, ?int $wait = null): TagcastException =>
            new UnavailableException($code, 'm', 503, ['retry_after_ms' => $wait]);
        $limited = static fn (int $wait): TagcastException =>
            new RateLimitedException('rate_limited', 'm', 429, ['retry_after_ms' => $wait]);
        return [
            'no server' => [$unavailable('connect_failed'), true, true],
            'nothing was done' => [$unavailable('broker_unavailable', 1000), true, true],
            'timeout' => [$unavailable('timeout'), false, true],
            'lost' => [$unavailable('connection_lost'), false, true],
            'the first is in flight' => [$unavailable('in_progress', 50), false, true],
            'a proxy' => [$unavailable('http_504'), false, true],
            'a proxy without servers' => [$unavailable('http_503'), true, true],
            'rate' => [$limited(300), true, true],
            'a long wait' => [$limited(60000), false, false],
            'a restart' => [new AuthException('predates_restart', 'm'), true, true],
            'credentials' => [new AuthException('invalid_credentials', 'm'), false, false],
            'the request' => [new RequestException('invalid_value', 'm'), false, false],
        ];
    }

    /** @dataProvider failures */
    public function testOnlyWhatIsSafeIsRepeated(TagcastException $failed, bool $without, bool $with): void
    {
        $retry = new Retry(1);
        self::assertSame([$without, $with], [
            $retry->delay($failed, 1, false, 0.5) !== null,
            $retry->delay($failed, 1, true, 0.5) !== null,
        ]);
        self::assertNull($retry->delay($failed, 2, true, 0.5));
        self::assertNull((new Retry(0))->delay($failed, 1, true, 0.5));
    }

    public function testDelaysGrowAreSpreadAndRespectTheServer(): void
    {
        $retry = new Retry(20);
        $lost = new UnavailableException('connect_failed', 'm');
        self::assertSame([0.0, 0.2, 0.4, 0.8], [
            $retry->delay($lost, 1, true, 0.0),
            $retry->delay($lost, 1, true, 1.0),
            $retry->delay($lost, 2, true, 1.0),
            $retry->delay($lost, 3, true, 1.0),
        ]);
        self::assertSame(5.0, $retry->delay($lost, 20, true, 1.0));
        $busy = new UnavailableException('busy', 'm', 503, ['retry_after_ms' => 2000]);
        self::assertSame(2.1, $retry->delay($busy, 1, true, 0.5));
    }
}
