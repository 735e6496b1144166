<?php

declare(strict_types=1);

namespace Tagcast\Client;

use InvalidArgumentException;

/** Where the server is, and who asks. */
final class Config
{
    /**
     * @param string $url `http://host:port`, `https://host`, or `unix:/path/to/socket`
     * @param string $key the key of the application; `-` on a server without `auth.yml`
     * @param string|null $secret the secret of the application
     * @param bool $signed signs requests instead of sending the secret
     * @param int $retries how often a request that is safe to repeat is sent again
     * @param float $connectTimeout seconds
     * @param float $timeout seconds until the answer must be complete
     * @param string|null $caFile PEM file with the authorities that certify the server; null: those of the system
     * @param array<string, string|int> $defaultTags tags that each `To::tags()` gets too, unless it has its own value
     * @param string|null $uuidKey the server's `uuidKey` in hexadecimal, for `verifyUuid`
     * @param bool $ids gives every publication an id, so that it can be repeated after a timeout and is delivered once
     */
    public function __construct(
        public readonly string $url = 'http://127.0.0.1:8094',
        public readonly string $key = '-',
        #[\SensitiveParameter] public readonly ?string $secret = null,
        public readonly bool $signed = false,
        public readonly int $retries = 1,
        public readonly float $connectTimeout = 2.0,
        public readonly float $timeout = 5.0,
        public readonly ?string $caFile = null,
        public readonly array $defaultTags = [],
        #[\SensitiveParameter] public readonly ?string $uuidKey = null,
        public readonly bool $ids = true,
    ) {
        if ($key === '') {
            throw new InvalidArgumentException('The key is empty; on a server without applications it is "-".');
        }
        if ($signed && $secret === null) {
            throw new InvalidArgumentException('Signed requests need the secret of the application.');
        }
        if ($secret === '' || ($secret !== null && preg_match('/[\x00-\x1f\x7f]/', $secret) === 1)) {
            throw new InvalidArgumentException('The secret is empty or has control characters.');
        }
        if ($retries < 0 || $connectTimeout <= 0 || $timeout <= 0) {
            throw new InvalidArgumentException('Retries must not be negative, and times must be positive.');
        }
        if ($uuidKey !== null && preg_match('/^[0-9a-fA-F]{64}$/D', $uuidKey) !== 1) {
            throw new InvalidArgumentException('The key of the UUIDs has 64 hexadecimal digits.');
        }
        Tags::check($defaultTags);
    }

    /**
     * Dumps do not show secrets.
     *
     * @return array<string, mixed>
     */
    public function __debugInfo(): array
    {
        $hidden = static fn (?string $value): ?string => $value === null ? null : '(hidden)';
        return ['secret' => $hidden($this->secret), 'uuidKey' => $hidden($this->uuidKey)] + get_object_vars($this);
    }
}
