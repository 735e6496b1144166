<?php

declare(strict_types=1);

namespace Tagcast\Client\Tests\unit;

use DateTimeImmutable;
use LogicException;
use PHPUnit\Framework\TestCase;
use Tagcast\Client\Config;
use Tagcast\Client\HttpClient;

final class LocalChecksTest extends TestCase
{
    private const SECRET = 'k3y-for-tests-only-0123456789abcdef';

    private function client(int $now = 1764345600): HttpClient
    {
        $config = new Config(key: 'shop', secret: self::SECRET, uuidKey: str_repeat('01', 32));
        return new HttpClient($config, clock: static fn (): DateTimeImmutable => new DateTimeImmutable("@$now"));
    }

    public function testATokenIsTheOneOfTheVector(): void
    {
        $tags = ['role' => 'admin', 'level' => 12];
        $token = $this->client()->createToken('42', $tags, claims: ['jti' => 't-1'], kid: 'main');
        self::assertSame(
            'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6Im1haW4ifQ.'
            . 'eyJhdWQiOiJzaG9wIiwic3ViIjoiNDIiLCJpYXQiOjE3NjQzNDU2MDAsImV4cCI6MTc2NDM0OTIwMCwianRpIjoi'
            . 'dC0xIiwidGFncyI6eyJyb2xlIjoiYWRtaW4iLCJsZXZlbCI6MTJ9fQ.'
            . 'ycJlTk1-8DmmzPQ8Ih32vgemiPerrXrNdVLCIOPiEVw',
            $token,
        );
    }

    public function testUuidsOfThisKeyAreGenuine(): void
    {
        $plain = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11';
        $signature = 'f7f866aa58c8463afad232391f473ca28a6405fe84d292b87a6527e882bfbf97';
        self::assertTrue($this->client()->verifyUuid("$plain.$signature"));
        self::assertFalse($this->client()->verifyUuid($plain . '.e' . substr($signature, 1)));
        self::assertFalse($this->client()->verifyUuid(strtoupper($plain) . ".$signature"));
        self::assertFalse($this->client()->verifyUuid($plain));
        self::assertFalse($this->client()->verifyUuid(''));
        self::assertFalse($this->client()->verifyUuid("$plain.$signature\n"));
    }

    public function testEventsAreCheckedBySignatureAndTime(): void
    {
        $body = '{"event":"message"}';
        $signature = hash_hmac('sha256', "1764345600.$body", self::SECRET);
        self::assertTrue($this->client()->verifyWebhook($body, '1764345600', $signature));
        self::assertTrue($this->client(1764345660)->verifyWebhook($body, '1764345600', $signature));
        self::assertFalse($this->client(1764345661)->verifyWebhook($body, '1764345600', $signature));
        self::assertFalse($this->client()->verifyWebhook("$body ", '1764345600', $signature));
        self::assertFalse($this->client()->verifyWebhook($body, '1764345601', $signature));
        self::assertFalse($this->client()->verifyWebhook($body, '', ''));
    }

    public function testWhatNeedsAKeySaysSo(): void
    {
        $client = new HttpClient(new Config());
        $calls = [
            fn () => $client->createToken(),
            fn () => $client->verifyUuid('x'),
            fn () => $client->verifyWebhook('', '1', ''),
        ];
        foreach ($calls as $call) {
            try {
                $call();
                self::fail('no exception');
            } catch (LogicException $missing) {
                self::assertStringContainsString('configuration', $missing->getMessage());
            }
        }
    }
}
