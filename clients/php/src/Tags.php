<?php

declare(strict_types=1);

namespace Tagcast\Client;

use InvalidArgumentException;

/** The tags of a connection after a change. */
final class Tags
{
    /**
     * @param int $version grows with each change; `retag` takes it as `ifVersion`
     * @param array<string, string|int> $tags
     */
    public function __construct(
        public readonly int $version,
        public readonly array $tags,
    ) {
    }

    /**
     * Refuses what is not a tag: names are strings, values are strings or integers.
     *
     * @param array<mixed> $tags
     */
    public static function check(array $tags): void
    {
        foreach ($tags as $name => $value) {
            if (!is_string($name)) {
                throw new InvalidArgumentException("The tag name '$name' is not a string !");
            }
            if (!is_int($value) && !is_string($value)) {
                throw new InvalidArgumentException(
                    "The tag named '$name' has a value which is not an integer or a string !"
                );
            }
        }
    }
}
