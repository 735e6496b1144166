<?php

declare(strict_types=1);

namespace Tagcast\Client\Http;

use Tagcast\Client\Exception\UnavailableException;

/** Sends requests and returns their answers, whatever their status. */
interface Transport
{
    /**
     * @param float $timeout seconds until the answer must be complete
     * @param bool $isRepeatable may be sent twice, if a kept connection turns out to be closed
     * @throws UnavailableException with `connect_failed`, `timeout`, `connection_lost` or `invalid_answer`
     */
    public function send(Request $request, float $timeout, bool $isRepeatable): Response;
}
