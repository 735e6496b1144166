<?php

declare(strict_types=1);

namespace Gomoob\WebSocket;

/** What became of a request. */
interface IWebSocketResponse
{
    /** @return bool */
    public function isOk();
}
