<?php

declare(strict_types=1);

namespace Tagcast\Client\Exception;

use Throwable;

/** The message or the body is too large. Nothing was done. */
final class TooLargeException extends TagcastException
{
    /** Bytes; null if the answer does not tell. */
    public readonly ?int $limit;

    /** The key of `websock.ini` that sets the limit. */
    public readonly ?string $setting;

    /** @param array<string, mixed> $details the members of the server's error */
    public function __construct(
        string $code,
        string $message,
        int $status = 0,
        array $details = [],
        ?Throwable $previous = null,
    ) {
        parent::__construct($code, $message, $status, $details, $previous);
        $this->limit = isset($details['limit']) ? (int) $details['limit'] : null;
        $this->setting = isset($details['setting']) ? (string) $details['setting'] : null;
    }
}
