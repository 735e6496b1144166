<?php

declare(strict_types=1);

namespace Tagcast\Client;

/** Data that is a text: clients without a protocol get it as it is, others as a JSON string. */
final class Text
{
    public function __construct(public readonly string $text)
    {
    }
}
