<?php

declare(strict_types=1);

namespace Tagcast\Client;

use InvalidArgumentException;

/** Makes connection tokens: JSON Web Tokens with HMAC-SHA256. */
final class TokenSigner
{
    /** RFC 7518 section 3.2 requires a key as long as the hash. */
    private const SECRET_MIN = 32;

    public function __construct(#[\SensitiveParameter] private readonly string $secret)
    {
        if (strlen($secret) < self::SECRET_MIN) {
            throw new InvalidArgumentException('A secret that signs tokens has at least 32 bytes.');
        }
    }

    /**
     * @param array<string, mixed> $claims
     * @param string|null $kid id of the key in `auth.yml`
     */
    public function sign(array $claims, ?string $kid): string
    {
        $header = ['alg' => 'HS256', 'typ' => 'JWT'] + ($kid === null ? [] : ['kid' => $kid]);
        $signed = $this->encode($this->json($header)) . '.' . $this->encode($this->json($claims));
        return $signed . '.' . $this->encode(hash_hmac('sha256', $signed, $this->secret, true));
    }

    /** @param array<string, mixed> $value */
    private function json(array $value): string
    {
        return json_encode($value, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_THROW_ON_ERROR);
    }

    private function encode(string $bytes): string
    {
        return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
    }
}
