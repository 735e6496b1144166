<?php

declare(strict_types=1);

namespace Tagcast\Client\Http;

/** A request as it is sent. */
final class Request
{
    /**
     * @param string $path percent-encoded, as the server receives it
     * @param string $query without `?`
     * @param array<string, string> $headers
     * @param string|null $body null: none
     */
    public function __construct(
        public readonly string $method,
        public readonly string $path,
        public readonly string $query = '',
        public readonly array $headers = [],
        public readonly ?string $body = null,
    ) {
    }

    /** Path and query. */
    public function target(): string
    {
        return $this->query === '' ? $this->path : "$this->path?$this->query";
    }
}
