<?php

declare(strict_types=1);

namespace Tagcast\Client;

use Closure;
use DateTimeImmutable;
use LogicException;

/** What clients do without the server: tokens and signatures. */
trait LocalChecks
{
    private readonly Config $config;

    /** @var Closure(): DateTimeImmutable */
    private readonly Closure $clock;

    public function createToken(
        ?string $sub = null,
        array $tags = [],
        int $lifetime = 3600,
        array $claims = [],
        ?string $kid = null,
    ): string {
        Tags::check($tags);
        $now = ($this->clock)()->getTimestamp();
        $all = ['aud' => $this->config->key]
            + ($sub === null ? [] : ['sub' => $sub])
            + ['iat' => $now, 'exp' => $now + $lifetime, 'jti' => bin2hex(random_bytes(16))]
            + ($tags === [] ? [] : ['tags' => $tags]);
        return (new TokenSigner($this->secret()))->sign(array_merge($all, $claims), $kid);
    }

    public function verifyUuid(string $uuid): bool
    {
        $key = $this->config->uuidKey;
        if ($key === null) {
            throw new LogicException('To verify UUIDs the configuration needs the uuidKey of the server.');
        }
        return Verifier::isUuid($uuid, $key);
    }

    public function verifyWebhook(string $body, string $timestamp, string $signature, int $tolerance = 60): bool
    {
        $now = ($this->clock)()->getTimestamp();
        return Verifier::isWebhook($body, $timestamp, $signature, $this->secret(), $now, $tolerance);
    }

    private function secret(): string
    {
        return $this->config->secret ?? throw new LogicException('The configuration has no secret.');
    }

    /** @return Closure(): DateTimeImmutable */
    private static function clockOf(?callable $clock): Closure
    {
        return $clock === null ? static fn (): DateTimeImmutable => new DateTimeImmutable() : $clock(...);
    }
}
