<?php

declare(strict_types=1);

namespace Tagcast\Client;

/** A client that is connected to the server. */
final class Connection
{
    /**
     * @param string|null $ident its name
     * @param string $kind `web` or `php`
     * @param array<string, string|int> $tags
     * @param int $version of its tags
     * @param array<string, mixed> $details everything that the server tells about it
     */
    public function __construct(
        public readonly string $uuid,
        public readonly ?string $ident,
        public readonly string $kind,
        public readonly array $tags,
        public readonly int $version,
        public readonly array $details,
    ) {
    }

    /** @param array<string, mixed> $answer the JSON of the API */
    public static function fromJson(array $answer): self
    {
        return new self(
            (string) ($answer['uuid'] ?? ''),
            isset($answer['ident']) ? (string) $answer['ident'] : null,
            (string) ($answer['kind'] ?? ''),
            (array) ($answer['tags'] ?? []),
            (int) ($answer['version'] ?? 0),
            $answer,
        );
    }
}
