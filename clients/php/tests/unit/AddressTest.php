<?php

declare(strict_types=1);

namespace Tagcast\Client\Tests\unit;

use InvalidArgumentException;
use PHPUnit\Framework\TestCase;
use Tagcast\Client\Net\Address;

final class AddressTest extends TestCase
{
    /** @return list<array{string, list<string>}> */
    public function addresses(): array
    {
        return [
            ['http://127.0.0.1:8094', ['tcp://127.0.0.1:8094', '127.0.0.1:8094', '127.0.0.1', '', '']],
            ['https://example.org/ws/', ['ssl://example.org:443', 'example.org', 'example.org', '/ws', '']],
            ['wss://example.org?key=a&b=c', ['ssl://example.org:443', 'example.org', 'example.org', '', 'key=a&b=c']],
            ['ws://[::1]:80/php', ['tcp://[::1]:80', '[::1]', '::1', '/php', '']],
            ['unix:/run/tagcast/api.sock', ['unix:///run/tagcast/api.sock', 'localhost', 'localhost', '', '']],
            ['unix:///run/tagcast/api.sock', ['unix:///run/tagcast/api.sock', 'localhost', 'localhost', '', '']],
        ];
    }

    /**
     * @dataProvider addresses
     * @param list<string> $parts
     */
    public function testAnAddressIsRead(string $url, array $parts): void
    {
        $address = Address::parse($url);
        self::assertSame($parts, [$address->remote, $address->host, $address->name, $address->path, $address->query]);
    }

    public function testAnythingElseIsRefused(): void
    {
        $invalid = ['', 'example.org', 'ftp://example.org', 'http://', 'http:///x', "http://a\r\nX: y", 'http://a b'];
        foreach ($invalid as $url) {
            try {
                Address::parse($url);
                self::fail($url);
            } catch (InvalidArgumentException $invalid) {
                self::assertStringContainsString('http://host:port', $invalid->getMessage());
            }
        }
    }
}
