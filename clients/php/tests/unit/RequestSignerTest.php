<?php

declare(strict_types=1);

namespace Tagcast\Client\Tests\unit;

use PHPUnit\Framework\TestCase;
use Tagcast\Client\Http\RequestSigner;

final class RequestSignerTest extends TestCase
{
    private const UUID = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11.'
        . 'f7f866aa58c8463afad232391f473ca28a6405fe84d292b87a6527e882bfbf97';

    /** @return array<string, array{list<string|int>, string, string}> */
    public function vectors(): array
    {
        return [
            'V1' => [
                ['POST', '/v1/apps/shop/publish', '', '{"to":{"tags":{"language":"FR"}},"message":"Bonjour"}',
                    1764345600, '5f0c3b1e9a7d4c62'],
                'a8022e941211dc6ceeae33f0f6b0859b6658022b395e6001e523aaa724cb9612',
                '997f20cd48482e309f754287f12cc0d5f7dfcc1159c67ba678e0a07a438b3a37',
            ],
            'V2' => [
                ['GET', '/v1/apps/shop/connections', 'expr=role%3Dadmin%20%26%20!(region%3Deu)&limit=2', '',
                    1764345601, 'n-0000000000000002'],
                'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
                'cdcc71305d629a07f51f77842b19bfb35d8fd8b6147a9a681d36f44c5b097aec',
            ],
            'V3' => [
                ['PATCH', '/v1/apps/b%C3%BCro/connections/' . self::UUID . '/tags', '',
                    '{"set":{"ville":"Besançon"},"if_version":7}', 1764345602, 'AAAAAAAAAAAAAAAAAAAAAA'],
                'd2c5d1ca445349b24ee06e84500ce8e9128e04420659ff02366eb55a9f3140f9',
                'a61db0c9b90adbf5c4398ef1792b07befb71830e7e59323360ac74a0626adee9',
            ],
        ];
    }

    /**
     * @dataProvider vectors
     * @param list<string|int> $request
     */
    public function testSignsAsTheServerExpects(array $request, string $digest, string $signature): void
    {
        $headers = (new RequestSigner('k3y-for-tests-only-0123456789abcdef'))->headers(...$request);
        self::assertSame($digest, $headers['X-Tagcast-Content-SHA256']);
        self::assertSame("v1=$signature", $headers['X-Tagcast-Signature']);
        self::assertSame((string) $request[4], $headers['X-Tagcast-Timestamp']);
        self::assertSame($request[5], $headers['X-Tagcast-Nonce']);
    }
}
