<?php

declare(strict_types=1);

namespace Tagcast\Client;

/** Checks signatures that the server made. Comparisons take the same time whatever differs. */
final class Verifier
{
    /**
     * Whether a UUID was issued under this key.
     *
     * @param string $key `uuidKey` in hexadecimal
     */
    public static function isUuid(string $uuid, #[\SensitiveParameter] string $key): bool
    {
        $plain = substr($uuid, 0, 36);
        $form = '/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/D';
        $expected = $plain . '.' . hash_hmac('sha256', $plain, (string) hex2bin($key));
        return preg_match($form, $plain) === 1 && hash_equals($expected, $uuid);
    }

    /**
     * Whether an event of an HTTP resource was signed with this secret, not long ago.
     *
     * @param int $now Unix seconds
     * @param int $tolerance seconds
     */
    public static function isWebhook(
        string $body,
        string $timestamp,
        string $signature,
        #[\SensitiveParameter] string $secret,
        int $now,
        int $tolerance,
    ): bool {
        $isTime = preg_match('/^[0-9]{1,12}$/D', $timestamp) === 1 && abs($now - (int) $timestamp) <= $tolerance;
        return hash_equals(hash_hmac('sha256', "$timestamp.$body", $secret), $signature) && $isTime;
    }
}
