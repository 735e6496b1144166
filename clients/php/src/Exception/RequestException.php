<?php

declare(strict_types=1);

namespace Tagcast\Client\Exception;

/** The server refuses what the request asks for; `code` and `at()` say what is wrong. Nothing was done. */
final class RequestException extends TagcastException
{
}
