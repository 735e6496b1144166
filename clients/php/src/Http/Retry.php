<?php

declare(strict_types=1);

namespace Tagcast\Client\Http;

use Tagcast\Client\Exception\RateLimitedException;
use Tagcast\Client\Exception\TagcastException;
use Tagcast\Client\Exception\UnavailableException;

/** Decides whether a request that failed is sent again, and after which time. */
final class Retry
{
    /** Seconds: the back-off begins with this and doubles. */
    private const FIRST = 0.1;

    /** Seconds: a server that wants more patience than this gets an exception instead. */
    private const LONGEST = 5.0;

    public function __construct(private readonly int $retries)
    {
    }

    /**
     * Seconds to wait before the next attempt; null: give up.
     *
     * @param int $attempt how many attempts have failed, from 1
     * @param bool $isRepeatable the request does no harm when it is carried out twice
     * @param float $random 0 to 1
     */
    public function delay(TagcastException $failed, int $attempt, bool $isRepeatable, float $random): ?float
    {
        if ($attempt > $this->retries) {
            return null;
        }
        $isSafe = $failed instanceof UnavailableException && ($isRepeatable || !$failed->isOutcomeUnknown);
        $asked = match (true) {
            $failed instanceof RateLimitedException => $failed->retryAfter,
            $isSafe => $failed->retryAfter ?? 0.0,
            // The server has started after the request was signed; it is signed again.
            $failed->code === 'predates_restart' => 1.0,
            default => null,
        };
        if ($asked === null || $asked > self::LONGEST) {
            return null;
        }
        return $asked + $random * min(self::LONGEST, self::FIRST * 2 ** $attempt);
    }
}
