<?php

declare(strict_types=1);

namespace Tagcast\Client;

use Tagcast\Client\Exception\TagcastException;

/**
 * Publishes to the clients of a Tagcast server.
 *
 * Methods that talk to the server throw a {@see TagcastException}: its class says what the caller can do,
 * its `code` is the server's.
 */
interface ClientInterface
{
    /**
     * Publishes a message.
     *
     * @param mixed $data anything that `json_encode` takes, except null; or a {@see Text}
     * @param list<string> $except UUIDs that do not get it
     * @see Publication::__construct() for the other parameters
     */
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
    ): Report;

    /**
     * Publishes many messages, 100 with each request, in order.
     *
     * @param iterable<Publication> $publications
     * @return list<Report|TagcastException> one for each publication, in order: one that is refused does not stop the
     *     others. If a whole request fails, its publications and all later ones get that exception
     */
    public function publishBatch(iterable $publications): array;

    /** Publishes to one client. The report has `matched` 0 if it is no longer connected. */
    public function feedback(string $uuid, mixed $data, ?string $event = null, ?string $id = null): Report;

    /** Publishes to all clients of the application's tenant. */
    public function broadcast(mixed $data, ?string $event = null, ?string $id = null): Report;

    /**
     * Publishes to one client and returns its answer.
     *
     * @param float $timeout seconds that the client has, 0.1 to 60
     * @throws Exception\AskException if there is no answer
     */
    public function ask(string $uuid, mixed $data, float $timeout = 5.0, ?string $event = null): mixed;

    /**
     * Changes the tags of one client.
     *
     * @param array<string, string|int> $set
     * @param list<string> $remove names
     * @param int|null $ifVersion changes nothing if the version of its tags is another one
     */
    public function retag(string $uuid, array $set = [], array $remove = [], ?int $ifVersion = null): Tags;

    /**
     * Changes the tags of all clients that match an expression, in one step.
     *
     * @param string|array<string, mixed> $expression
     * @param array<string, string|int> $set
     * @param list<string> $remove names
     * @return int how many clients match
     */
    public function retagMatching(
        string|array $expression,
        array $set = [],
        array $remove = [],
        ?int $maxRecipients = null,
        bool $dryRun = false,
    ): int;

    /**
     * Closes one connection.
     *
     * @param int $code 1000, or 3000 to 4999
     * @return bool false if it was closed already
     */
    public function disconnect(string $uuid, int $code = 1000, string $reason = ''): bool;

    /**
     * Closes the connections of all clients that match an expression.
     *
     * @param string|array<string, mixed> $expression
     * @param int $spreadMs closes them over so many milliseconds, so that clients do not all come back at once
     * @return int how many clients match
     */
    public function disconnectMatching(
        string|array $expression,
        int $code = 1000,
        string $reason = '',
        int $spreadMs = 0,
        ?int $maxRecipients = null,
        bool $dryRun = false,
    ): int;

    /**
     * Lists connections.
     *
     * @param string|array<string, mixed>|null $expression only clients that match
     * @param string|null $ident only clients of this name
     * @param int $limit 0 to 1,000; 0 counts only
     * @param string|null $cursor of the page before
     */
    public function connections(
        string|array|null $expression = null,
        ?string $ident = null,
        int $limit = 100,
        ?string $cursor = null,
    ): ConnectionPage;

    /** One connection, or null if there is none with this UUID. */
    public function connection(string $uuid): ?Connection;

    /**
     * Counts of the application.
     *
     * @return array<string, mixed>
     */
    public function stats(): array;

    /**
     * Makes a token with which a client may connect. It is signed here; the server is not asked.
     *
     * @param string|null $sub the user: the connection gets the tag `@user`
     * @param array<string, string|int> $tags the connection's tags
     * @param int $lifetime seconds
     * @param array<string, mixed> $claims further claims (`ident`, `user`, `info`, `caps`, `lim`, …)
     * @param string|null $kid id of the key in `auth.yml`
     */
    public function createToken(
        ?string $sub = null,
        array $tags = [],
        int $lifetime = 3600,
        array $claims = [],
        ?string $kid = null,
    ): string;

    /** Whether the server issued this UUID. Needs `uuidKey` in the configuration. */
    public function verifyUuid(string $uuid): bool;

    /**
     * Whether an event of an HTTP resource comes from the server.
     *
     * @param string $body the body as it was received
     * @param string $timestamp the header `X-Tagcast-Timestamp`
     * @param string $signature the header `X-Tagcast-Signature`
     * @param int $tolerance seconds that the clocks may differ
     */
    public function verifyWebhook(string $body, string $timestamp, string $signature, int $tolerance = 60): bool;
}
