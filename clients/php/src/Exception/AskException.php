<?php

declare(strict_types=1);

namespace Tagcast\Client\Exception;

/**
 * A question has no answer. `code` is one of
 * `gone` (the client is not connected, or left), `away` (it is away and may come back), `timeout`,
 * `refused` (it answered with an error, which is the message), `unhandled`, `unsupported` (it cannot answer).
 */
final class AskException extends TagcastException
{
}
