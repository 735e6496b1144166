<?php

declare(strict_types=1);

namespace Tagcast\Client;

/** A part of the list of connections. */
final class ConnectionPage
{
    /**
     * @param int $matched clients that match at this moment
     * @param list<Connection> $connections
     * @param string|null $cursor for the next page; null after the last
     */
    public function __construct(
        public readonly int $matched,
        public readonly array $connections,
        public readonly ?string $cursor,
    ) {
    }

    /** @param array<string, mixed> $answer the JSON of the API */
    public static function fromJson(array $answer): self
    {
        return new self(
            (int) ($answer['matched'] ?? 0),
            array_map(Connection::fromJson(...), array_values((array) ($answer['connections'] ?? []))),
            isset($answer['cursor']) ? (string) $answer['cursor'] : null,
        );
    }
}
