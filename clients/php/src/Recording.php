<?php

declare(strict_types=1);

namespace Tagcast\Client;

use AssertionError;
use PHPUnit\Framework\Assert;

/** Records what is published, passes every call on, and asserts in tests. */
trait Recording
{
    private readonly ClientInterface $inner;

    /** @var list<Publication> */
    private array $published = [];

    /**
     * What was published, in order.
     *
     * @return list<Publication>
     */
    public function publications(): array
    {
        return $this->published;
    }

    public function publish(
        To $to,
        mixed $data,
        ?string $event = null,
        array $except = [],
        ?string $id = null,
        Ack $ack = Ack::Accepted,
        ?int $maxRecipients = null,
        bool $dryRun = false,
        ?int $timeoutMs = null,
    ): Report {
        $this->record(new Publication($to, $data, $event, $except, $id, $ack, $maxRecipients, $dryRun, $timeoutMs));
        return $this->inner->publish(...func_get_args());
    }

    public function publishBatch(iterable $publications): array
    {
        $all = is_array($publications) ? $publications : iterator_to_array($publications, false);
        array_map($this->record(...), $all);
        return $this->inner->publishBatch($all);
    }

    public function feedback(string $uuid, mixed $data, ?string $event = null, ?string $id = null): Report
    {
        $this->record(new Publication(To::uuid($uuid), $data, $event, id: $id));
        return $this->inner->feedback($uuid, $data, $event, $id);
    }

    public function broadcast(mixed $data, ?string $event = null, ?string $id = null): Report
    {
        $this->record(new Publication(To::all(), $data, $event, id: $id));
        return $this->inner->broadcast($data, $event, $id);
    }

    public function ask(string $uuid, mixed $data, float $timeout = 5.0, ?string $event = null): mixed
    {
        return $this->inner->ask($uuid, $data, $timeout, $event);
    }

    public function retag(string $uuid, array $set = [], array $remove = [], ?int $ifVersion = null): Tags
    {
        return $this->inner->retag($uuid, $set, $remove, $ifVersion);
    }

    public function retagMatching(
        string|array $expression,
        array $set = [],
        array $remove = [],
        ?int $maxRecipients = null,
        bool $dryRun = false,
    ): int {
        return $this->inner->retagMatching($expression, $set, $remove, $maxRecipients, $dryRun);
    }

    public function disconnect(string $uuid, int $code = 1000, string $reason = ''): bool
    {
        return $this->inner->disconnect($uuid, $code, $reason);
    }

    public function disconnectMatching(
        string|array $expression,
        int $code = 1000,
        string $reason = '',
        int $spreadMs = 0,
        ?int $maxRecipients = null,
        bool $dryRun = false,
    ): int {
        return $this->inner->disconnectMatching($expression, $code, $reason, $spreadMs, $maxRecipients, $dryRun);
    }

    public function connections(
        string|array|null $expression = null,
        ?string $ident = null,
        int $limit = 100,
        ?string $cursor = null,
    ): ConnectionPage {
        return $this->inner->connections($expression, $ident, $limit, $cursor);
    }

    public function connection(string $uuid): ?Connection
    {
        return $this->inner->connection($uuid);
    }

    public function stats(): array
    {
        return $this->inner->stats();
    }

    public function createToken(
        ?string $sub = null,
        array $tags = [],
        int $lifetime = 3600,
        array $claims = [],
        ?string $kid = null,
    ): string {
        return $this->inner->createToken($sub, $tags, $lifetime, $claims, $kid);
    }

    public function verifyUuid(string $uuid): bool
    {
        return $this->inner->verifyUuid($uuid);
    }

    public function verifyWebhook(string $body, string $timestamp, string $signature, int $tolerance = 60): bool
    {
        return $this->inner->verifyWebhook($body, $timestamp, $signature, $tolerance);
    }

    /**
     * A publication was made for which this returns true.
     *
     * @param callable(Publication): bool $isExpected
     */
    public function assertPublished(callable $isExpected, string $message = ''): void
    {
        $found = array_filter($this->published, $isExpected);
        $count = count($this->published);
        self::assert($found !== [], $message ?: "None of the $count publications is the expected one.");
    }

    /** A publication was made to this client. */
    public function assertFeedback(string $uuid, string $message = ''): void
    {
        $isExpected = static fn (Publication $publication): bool =>
            $publication->to->kind() === 'uuid' && $publication->to->value() === $uuid;
        $this->assertPublished($isExpected, $message ?: "Nothing was published to $uuid.");
    }

    /** Nothing was published. */
    public function assertNothingPublished(string $message = ''): void
    {
        $count = count($this->published);
        self::assert($count === 0, $message ?: "$count publications were made.");
    }

    private function record(Publication $publication): void
    {
        $this->published[] = $publication;
    }

    private static function assert(bool $isTrue, string $message): void
    {
        if (class_exists(Assert::class)) {
            // PHPUnit counts it.
            Assert::assertTrue($isTrue, $message);
        } elseif (!$isTrue) {
            throw new AssertionError($message);
        }
    }
}
