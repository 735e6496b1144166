<?php

declare(strict_types=1);

namespace Tagcast\Client\Http;

/** Signs requests, so that the secret is not sent and a captured request cannot be sent again. */
final class RequestSigner
{
    public function __construct(#[\SensitiveParameter] private readonly string $secret)
    {
    }

    /**
     * The headers of a signed request.
     *
     * @param int $timestamp Unix seconds
     * @param string $nonce 8 to 64 of `A-Z a-z 0-9 _ -`, different for each request
     * @return array<string, string>
     */
    public function headers(
        string $method,
        string $path,
        string $query,
        string $body,
        int $timestamp,
        string $nonce,
    ): array {
        $digest = hash('sha256', $body);
        $lines = ['TAGCAST1', $method, $path, $query, (string) $timestamp, $nonce, $digest];
        return [
            'X-Tagcast-Timestamp' => (string) $timestamp,
            'X-Tagcast-Nonce' => $nonce,
            'X-Tagcast-Content-SHA256' => $digest,
            'X-Tagcast-Signature' => 'v1=' . hash_hmac('sha256', implode("\n", $lines), $this->secret),
        ];
    }
}
