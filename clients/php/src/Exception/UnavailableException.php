<?php

declare(strict_types=1);

namespace Tagcast\Client\Exception;

use Throwable;

/**
 * The server cannot be reached, did not answer in time, or cannot do it now.
 *
 * `code` is the server's (`busy`, `draining`, `broker_unavailable`, …), or `connect_failed`, `timeout`,
 * `connection_lost`, `invalid_answer`.
 */
final class UnavailableException extends TagcastException
{
    /** Codes after which the request may have been carried out. */
    private const UNKNOWN = ['timeout', 'connection_lost', 'invalid_answer', 'internal_error', 'in_progress'];

    /** Seconds after which the server wants to be asked again; null if it did not say so. */
    public readonly ?float $retryAfter;

    /** Whether the request may have been carried out. False: it was not. */
    public readonly bool $isOutcomeUnknown;

    /** @param array<string, mixed> $details the members of the server's error */
    public function __construct(
        string $code,
        string $message,
        int $status = 0,
        array $details = [],
        ?Throwable $previous = null,
    ) {
        parent::__construct($code, $message, $status, $details, $previous);
        $this->retryAfter = $this->secondsToWait();
        // A proxy that answers in place of the server does not tell what became of the request.
        $isProxy = str_starts_with($code, 'http_5') && $code !== 'http_503';
        $this->isOutcomeUnknown = $isProxy || in_array($code, self::UNKNOWN, true);
    }
}
