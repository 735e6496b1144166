<?php

declare(strict_types=1);

namespace Tagcast\Client\Net;

use RuntimeException;

/** A socket could not be connected, was closed, or was too slow. */
final class SocketException extends RuntimeException
{
    public function __construct(string $message, public readonly SocketFailure $failure)
    {
        parent::__construct($message);
    }
}
