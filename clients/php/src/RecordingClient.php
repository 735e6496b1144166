<?php

declare(strict_types=1);

namespace Tagcast\Client;

/** Records what is published through it, for tests. */
final class RecordingClient implements ClientInterface
{
    use Recording;

    /** @param ClientInterface|null $inner gets every call; null: a client without a server */
    public function __construct(?ClientInterface $inner = null)
    {
        $this->inner = $inner ?? new NullClient();
    }

    /** Forgets what was published. */
    public function reset(): void
    {
        $this->published = [];
    }
}
