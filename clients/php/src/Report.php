<?php

declare(strict_types=1);

namespace Tagcast\Client;

/** What a publication reached. A count is null where the server did not count it. */
final class Report
{
    /**
     * @param int|null $matched recipients; null with `Ack::None`, or if the broker did not acknowledge in time
     * @param int|null $workers worker processes with recipients
     * @param int|null $away 1: the only recipient is away, and gets the message when it is back
     * @param string|null $id the id of the publication
     * @param bool $repeated the server had this id already, and sent nothing again
     * @param int|null $written recipients whose socket took the whole message (`Ack::Written`, as the next three)
     * @param int|null $slow recipients that were closed because they did not read
     * @param int|null $closed recipients whose connection ended before
     * @param int|null $waiting recipients whose socket had not taken it when the time was over
     */
    public function __construct(
        public readonly ?int $matched = null,
        public readonly ?int $workers = null,
        public readonly ?int $away = null,
        public readonly ?string $id = null,
        public readonly bool $repeated = false,
        public readonly ?int $written = null,
        public readonly ?int $slow = null,
        public readonly ?int $closed = null,
        public readonly ?int $waiting = null,
    ) {
    }

    /** @param array<string, mixed> $answer the JSON of the API */
    public static function fromJson(array $answer): self
    {
        $count = static fn (string $name): ?int => is_int($answer[$name] ?? null) ? $answer[$name] : null;
        return new self(
            matched: $count('matched'),
            workers: $count('workers'),
            away: $count('away'),
            id: is_string($answer['id'] ?? null) ? $answer['id'] : null,
            repeated: ($answer['repeated'] ?? false) === true,
            written: $count('written'),
            slow: $count('slow'),
            closed: $count('closed'),
            waiting: $count('waiting'),
        );
    }
}
