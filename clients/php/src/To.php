<?php

declare(strict_types=1);

namespace Tagcast\Client;

use InvalidArgumentException;

/** The recipients of a publication. */
final class To
{
    /** @param string|array<string, mixed> $value what the API gets as `to` */
    private function __construct(
        private readonly string $kind,
        private readonly string|array $value,
    ) {
    }

    /** All clients of the application's tenant. */
    public static function all(): self
    {
        return new self('all', '');
    }

    /** The client with this UUID, in the form that it got from the server. */
    public static function uuid(string $uuid): self
    {
        if ($uuid === '') {
            throw new InvalidArgumentException('The UUID is empty.');
        }
        return new self('uuid', $uuid);
    }

    /** The client with this name; of several, the one that joined first. */
    public static function ident(string $ident): self
    {
        if ($ident === '') {
            throw new InvalidArgumentException('The ident is empty.');
        }
        return new self('ident', $ident);
    }

    /**
     * The clients that carry all of these tags. Without a tag, all clients.
     *
     * @param array<string, string|int> $tags
     */
    public static function tags(array $tags): self
    {
        Tags::check($tags);
        return new self('tags', $tags);
    }

    /**
     * The clients whose tags match an expression.
     *
     * @param string|array<string, mixed> $expression its text form (`role=admin & !region=eu`) or its JSON form
     */
    public static function expr(string|array $expression): self
    {
        return new self('expr', $expression);
    }

    /** `all`, `uuid`, `ident`, `tags` or `expr`. */
    public function kind(): string
    {
        return $this->kind;
    }

    /**
     * The UUID, the ident, the tags or the expression; an empty string for all.
     *
     * @return string|array<string, mixed>
     */
    public function value(): string|array
    {
        return $this->value;
    }

    /**
     * The same recipients; tags are added to those of a tag query that does not have them.
     *
     * @param array<string, string|int> $tags
     */
    public function withDefaultTags(array $tags): self
    {
        return $this->kind === 'tags' && $tags !== [] ? self::tags($this->value + $tags) : $this;
    }

    /**
     * The JSON value of the API's member `to`.
     *
     * @return string|array<string, mixed>
     */
    public function toJson(): string|array
    {
        return match ($this->kind) {
            'all' => 'all',
            'tags' => ['tags' => (object) $this->value],
            default => [$this->kind => $this->value],
        };
    }
}
