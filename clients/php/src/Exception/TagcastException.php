<?php

declare(strict_types=1);

namespace Tagcast\Client\Exception;

use RuntimeException;
use Throwable;

/** A request failed. The subclasses say what the caller can do. */
class TagcastException extends RuntimeException
{
    /** @var string the stable code of the error, such as `payload_too_large`; `getCode()` returns it too */
    public $code = '';

    /**
     * @param int $status of HTTP; 0 if there was no answer
     * @param array<string, mixed> $details the members of the server's error
     */
    public function __construct(
        string $code,
        string $message,
        public readonly int $status = 0,
        public readonly array $details = [],
        ?Throwable $previous = null,
    ) {
        parent::__construct($message, 0, $previous);
        $this->code = $code;
    }

    /** The id of the request in the server's log. */
    public function requestId(): ?string
    {
        return isset($this->details['request_id']) ? (string) $this->details['request_id'] : null;
    }

    /** Where the error is: a JSON pointer into the request, or a byte of an expression. */
    public function at(): string|int|null
    {
        return $this->details['at'] ?? null;
    }

    /** Seconds after which the server wants to be asked again, if it said so. */
    protected function secondsToWait(): ?float
    {
        $milliseconds = $this->details['retry_after_ms'] ?? null;
        return is_int($milliseconds) && $milliseconds >= 0 ? $milliseconds / 1000 : null;
    }
}
