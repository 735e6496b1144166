<?php

declare(strict_types=1);

namespace Gomoob\WebSocket\Response;

use Gomoob\WebSocket\IWebSocketResponse;
use Tagcast\Client\Report;

/** A request was sent. What went wrong is an exception. */
class WebSocketResponse implements IWebSocketResponse
{
    /** @param Report|null $report what the request reached; null over a WebSocket, which does not tell */
    public function __construct(private readonly ?Report $report = null)
    {
    }

    public function isOk()
    {
        return true;
    }

    public function getReport(): ?Report
    {
        return $this->report;
    }
}
