<?php

declare(strict_types=1);

namespace Tagcast\Client\Exception;

use Throwable;

/** Too many requests. Nothing was done; the same request may succeed after `retryAfter` seconds. */
final class RateLimitedException extends TagcastException
{
    /** Seconds. */
    public readonly float $retryAfter;

    /** Name of the limit. */
    public readonly string $name;

    /** @param array<string, mixed> $details the members of the server's error */
    public function __construct(
        string $code,
        string $message,
        int $status = 0,
        array $details = [],
        ?Throwable $previous = null,
    ) {
        parent::__construct($code, $message, $status, $details, $previous);
        $this->retryAfter = $this->secondsToWait() ?? 1.0;
        $this->name = (string) ($details['name'] ?? '');
    }
}
