<?php

declare(strict_types=1);

namespace Tagcast\Client;

use Tagcast\Client\Exception\AskException;
use Tagcast\Client\Exception\RequestException;

/** A client without a server, for environments that have none: nothing is sent, and no client is connected. */
final class NullClient implements ClientInterface
{
    use LocalChecks;

    /** @param Config|null $config needed for tokens and signatures only */
    public function __construct(?Config $config = null, ?callable $clock = null)
    {
        $this->config = $config ?? new Config();
        $this->clock = self::clockOf($clock);
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
        return new Report(matched: 0, workers: 0, id: $id);
    }

    public function publishBatch(iterable $publications): array
    {
        $reports = [];
        foreach ($publications as $publication) {
            $reports[] = new Report(matched: 0, workers: 0, id: $publication->id);
        }
        return $reports;
    }

    public function feedback(string $uuid, mixed $data, ?string $event = null, ?string $id = null): Report
    {
        return $this->publish(To::uuid($uuid), $data, $event, id: $id);
    }

    public function broadcast(mixed $data, ?string $event = null, ?string $id = null): Report
    {
        return $this->publish(To::all(), $data, $event, id: $id);
    }

    public function ask(string $uuid, mixed $data, float $timeout = 5.0, ?string $event = null): mixed
    {
        throw new AskException('gone', 'No client is connected.', 404);
    }

    public function retag(string $uuid, array $set = [], array $remove = [], ?int $ifVersion = null): Tags
    {
        throw new RequestException('connection_not_found', 'No client is connected.', 404);
    }

    public function retagMatching(
        string|array $expression,
        array $set = [],
        array $remove = [],
        ?int $maxRecipients = null,
        bool $dryRun = false,
    ): int {
        return 0;
    }

    public function disconnect(string $uuid, int $code = 1000, string $reason = ''): bool
    {
        return false;
    }

    public function disconnectMatching(
        string|array $expression,
        int $code = 1000,
        string $reason = '',
        int $spreadMs = 0,
        ?int $maxRecipients = null,
        bool $dryRun = false,
    ): int {
        return 0;
    }

    public function connections(
        string|array|null $expression = null,
        ?string $ident = null,
        int $limit = 100,
        ?string $cursor = null,
    ): ConnectionPage {
        return new ConnectionPage(0, [], null);
    }

    public function connection(string $uuid): ?Connection
    {
        return null;
    }

    public function stats(): array
    {
        return [];
    }
}
