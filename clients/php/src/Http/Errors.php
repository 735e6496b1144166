<?php

declare(strict_types=1);

namespace Tagcast\Client\Http;

use Tagcast\Client\Exception\AskException;
use Tagcast\Client\Exception\AuthException;
use Tagcast\Client\Exception\RateLimitedException;
use Tagcast\Client\Exception\RequestException;
use Tagcast\Client\Exception\TagcastException;
use Tagcast\Client\Exception\TooLargeException;
use Tagcast\Client\Exception\UnavailableException;

/** Makes exceptions from the errors of the API. */
final class Errors
{
    /** The API's codes for questions that have no answer, and what they are called in every client library. */
    private const ASK = [
        'connection_closed' => 'gone',
        'away' => 'away',
        'ask_timeout' => 'timeout',
        'refused' => 'refused',
        'unhandled' => 'unhandled',
        'ask_unsupported' => 'unsupported',
    ];

    /** From an answer that is not a success. */
    public static function fromResponse(Response $response): TagcastException
    {
        $answer = json_decode($response->body, true);
        $error = is_array($answer) && is_array($answer['error'] ?? null) ? $answer['error'] : [];
        $retryAfter = $response->headers['retry-after'] ?? '';
        if (!isset($error['retry_after_ms']) && ctype_digit($retryAfter) && strlen($retryAfter) < 7) {
            $error['retry_after_ms'] = 1000 * (int) $retryAfter;
        }
        return self::fromError($response->status, $error);
    }

    /**
     * From the member `error` of an answer, or of a result in a batch.
     *
     * @param array<string, mixed> $error
     */
    public static function fromError(int $status, array $error): TagcastException
    {
        // A proxy answers without a code of ours.
        $code = is_string($error['code'] ?? null) ? $error['code'] : "http_$status";
        $message = is_string($error['message'] ?? null) ? $error['message'] : "The server answers with status $status.";
        if (isset(self::ASK[$code])) {
            return new AskException(self::ASK[$code], $message, $status, $error);
        }
        $class = match (true) {
            $status === 401, $status === 403 => AuthException::class,
            $status === 413 => TooLargeException::class,
            $status === 429 => RateLimitedException::class,
            $status >= 500, $code === 'in_progress', $status === 408 => UnavailableException::class,
            default => RequestException::class,
        };
        return new $class($code, $message, $status, $error);
    }
}
