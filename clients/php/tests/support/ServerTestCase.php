<?php

declare(strict_types=1);

namespace Tagcast\Client\Tests\support;

use PHPUnit\Framework\TestCase;
use Tagcast\Client\Config;
use Tagcast\Client\HttpClient;

/** Tests against a server whose addresses are in the environment; README.md names the variables. */
abstract class ServerTestCase extends TestCase
{
    protected const KEY = 'shop';

    protected function setUp(): void
    {
        if (getenv('TAGCAST_URL') === false) {
            self::markTestSkipped('TAGCAST_URL is not set: there is no server.');
        }
    }

    /** A variable; the test is skipped if it is not set. */
    protected static function env(string $name): string
    {
        $value = getenv($name);
        if ($value === false) {
            self::markTestSkipped("$name is not set.");
        }
        return $value;
    }

    protected static function config(mixed ...$changed): Config
    {
        return new Config(...$changed + [
            'url' => self::env('TAGCAST_URL'),
            'key' => self::KEY,
            'secret' => self::env('TAGCAST_SECRET'),
        ]);
    }

    protected static function client(mixed ...$changed): HttpClient
    {
        return new HttpClient(self::config(...$changed));
    }

    /** @param array<string, string|int> $tags */
    protected static function page(array $tags = [], string $path = '/web'): Page
    {
        return new Page(self::env('TAGCAST_URL'), $path, self::KEY, $tags);
    }
}
