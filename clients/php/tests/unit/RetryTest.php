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
    /** @return array<string, array{TagcastException, bool, bool}> what failed; whether it is repeated, without and with an id */
    public function failures(): array
    {
        $error = static fn (string $class, string $code, array $details = []): TagcastException => new $class($code, 'm', 0, $details);
        return [
            'no server' => [$error(UnavailableException::class, 'connect_failed'), true, true],
            'nothing was done' => [$error(UnavailableException::class, 'broker_unavailable', ['retry_after_ms' => 1000]), true, true],
            'timeout' => [$error(UnavailableException::class, 'timeout'), false, true],
            'lost' => [$error(UnavailableException::class, 'connection_lost'), false, true],
            'the first is in flight' => [$error(UnavailableException::class, 'in_progress', ['retry_after_ms' => 50]), false, true],
            'a proxy' => [$error(UnavailableException::class, 'http_504'), false, true],
            'a proxy without servers' => [$error(UnavailableException::class, 'http_503'), true, true],
            'rate' => [$error(RateLimitedException::class, 'rate_limited', ['retry_after_ms' => 300]), true, true],
            'a long wait' => [$error(RateLimitedException::class, 'rate_limited', ['retry_after_ms' => 60000]), false, false],
            'a restart' => [$error(AuthException::class, 'predates_restart'), true, true],
            'credentials' => [$error(AuthException::class, 'invalid_credentials'), false, false],
            'the request' => [$error(RequestException::class, 'invalid_value'), false, false],
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
