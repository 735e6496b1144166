<?php

declare(strict_types=1);

namespace Tagcast\Client;

use DateTimeImmutable;
use InvalidArgumentException;
use Psr\Http\Client\ClientInterface as PsrClientInterface;
use Psr\Http\Message\RequestFactoryInterface;
use Psr\Http\Message\StreamFactoryInterface;
use Psr\Log\LoggerInterface;
use Tagcast\Client\Exception\AskException;
use Tagcast\Client\Exception\RequestException;
use Tagcast\Client\Exception\TagcastException;
use Tagcast\Client\Exception\UnavailableException;
use Tagcast\Client\Http\Api;
use Tagcast\Client\Http\Errors;
use Tagcast\Client\Http\PsrTransport;
use Tagcast\Client\Http\SocketTransport;
use Tagcast\Client\Http\Transport;
use Tagcast\Client\Net\Address;

/** Publishes over the server's HTTP API, on one kept connection. */
final class HttpClient implements ClientInterface
{
    use LocalChecks;

    private const BATCH_MAX = 100;

    /** So that a request stays below the default of `apiMaxBody`, whatever the publications hold. */
    private const BATCH_BYTES = 1048576;

    private readonly Api $api;

    /**
     * @param PsrClientInterface|null $http an HTTP client of PSR-18; null: the built-in transport
     * @param RequestFactoryInterface|null $requests required with `$http`
     * @param StreamFactoryInterface|null $streams required with `$http`
     * @param LoggerInterface|null $logger gets a warning for each repeated request; never a secret or a message
     * @param (callable(): DateTimeImmutable)|null $clock for signatures and tokens
     */
    public function __construct(
        Config $config,
        ?PsrClientInterface $http = null,
        ?RequestFactoryInterface $requests = null,
        ?StreamFactoryInterface $streams = null,
        ?LoggerInterface $logger = null,
        ?callable $clock = null,
    ) {
        $this->config = $config;
        $this->clock = self::clockOf($clock);
        $transport = self::transport($config, $http, $requests, $streams);
        $this->api = new Api($config, $transport, $logger, $this->clock);
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
        $publication = new Publication($to, $data, $event, $except, $id, $ack, $maxRecipients, $dryRun, $timeoutMs);
        $publication = $this->prepare($publication);
        $body = $publication->toJson();
        $longer = $ack === Ack::Written ? ($timeoutMs ?? 2000) / 1000 : 0.0;
        $answer = $this->api->call('POST', '/publish', [], $body, $this->isRepeatable($publication), $longer);
        return Report::fromJson($answer);
    }

    public function publishBatch(iterable $publications): array
    {
        $results = [];
        $failed = null;
        foreach ($this->chunks($publications) as [$json, $isRepeatable]) {
            try {
                $results[] = $failed === null
                    ? $this->sendBatch($json, $isRepeatable)
                    : array_fill(0, count($json), $failed);
            } catch (TagcastException $exception) {
                // Later publications must not overtake these.
                $failed = $exception;
                $results[] = array_fill(0, count($json), $failed);
            }
        }
        return array_merge(...$results);
    }

    public function feedback(string $uuid, mixed $data, ?string $event = null, ?string $id = null): Report
    {
        $publication = $this->prepare(new Publication(To::uuid($uuid), $data, $event, id: $id));
        $path = '/connections/' . rawurlencode($uuid) . '/feedback';
        $call = fn (): array => $this->api->call(
            'POST',
            $path,
            [],
            $publication->content(),
            $this->isRepeatable($publication),
        );
        return Report::fromJson($this->unlessGone($call) ?? ['matched' => 0, 'workers' => 0]);
    }

    public function broadcast(mixed $data, ?string $event = null, ?string $id = null): Report
    {
        return $this->publish(To::all(), $data, $event, id: $id);
    }

    public function ask(string $uuid, mixed $data, float $timeout = 5.0, ?string $event = null): mixed
    {
        $question = new Publication(To::uuid($uuid), $data, $event, timeoutMs: (int) round($timeout * 1000));
        $path = '/connections/' . rawurlencode($uuid) . '/ask';
        $call = fn (): array => $this->api->call('POST', $path, [], $question->content(), false, $timeout);
        $answer = $this->unlessGone($call);
        if ($answer === null) {
            throw new AskException('gone', 'No client with this UUID is connected.', 404);
        }
        return $answer['answer'] ?? null;
    }

    public function retag(string $uuid, array $set = [], array $remove = [], ?int $ifVersion = null): Tags
    {
        $body = $this->change($set, $remove) + ($ifVersion === null ? [] : ['if_version' => $ifVersion]);
        // With a version a repeat would be refused, because the first has changed the version.
        $isRepeatable = $ifVersion === null;
        $answer = $this->api->call('PATCH', '/connections/' . rawurlencode($uuid) . '/tags', [], $body, $isRepeatable);
        return new Tags((int) ($answer['version'] ?? 0), (array) ($answer['tags'] ?? []));
    }

    public function retagMatching(
        string|array $expression,
        array $set = [],
        array $remove = [],
        ?int $maxRecipients = null,
        bool $dryRun = false,
    ): int {
        $body = ['expr' => $expression] + $this->change($set, $remove) + $this->bounds($maxRecipients, $dryRun);
        return (int) ($this->api->call('POST', '/connections:retag', [], $body)['matched'] ?? 0);
    }

    public function disconnect(string $uuid, int $code = 1000, string $reason = ''): bool
    {
        $query = ['code' => $code] + ($reason === '' ? [] : ['reason' => $reason]);
        $path = '/connections/' . rawurlencode($uuid);
        return $this->unlessGone(fn (): array => $this->api->call('DELETE', $path, $query)) !== null;
    }

    public function disconnectMatching(
        string|array $expression,
        int $code = 1000,
        string $reason = '',
        int $spreadMs = 0,
        ?int $maxRecipients = null,
        bool $dryRun = false,
    ): int {
        $body = ['expr' => $expression, 'code' => $code]
            + ($reason === '' ? [] : ['reason' => $reason])
            + ($spreadMs === 0 ? [] : ['spread_ms' => $spreadMs])
            + $this->bounds($maxRecipients, $dryRun);
        return (int) ($this->api->call('POST', '/connections:disconnect', [], $body)['matched'] ?? 0);
    }

    public function connections(
        string|array|null $expression = null,
        ?string $ident = null,
        int $limit = 100,
        ?string $cursor = null,
    ): ConnectionPage {
        $text = is_array($expression) ? json_encode($expression, JSON_THROW_ON_ERROR) : $expression;
        $query = ['expr' => $text, 'ident' => $ident, 'limit' => $limit, 'cursor' => $cursor];
        $given = array_filter($query, static fn (mixed $value): bool => $value !== null);
        return ConnectionPage::fromJson($this->api->call('GET', '/connections', $given));
    }

    public function connection(string $uuid): ?Connection
    {
        $path = '/connections/' . rawurlencode($uuid);
        $answer = $this->unlessGone(fn (): array => $this->api->call('GET', $path));
        return $answer === null ? null : Connection::fromJson($answer);
    }

    public function stats(): array
    {
        return $this->api->call('GET', '/stats');
    }

    private static function transport(
        Config $config,
        ?PsrClientInterface $http,
        ?RequestFactoryInterface $requests,
        ?StreamFactoryInterface $streams,
    ): Transport {
        if ($http === null) {
            return new SocketTransport(Address::parse($config->url), $config->connectTimeout, $config->caFile);
        }
        if ($requests === null || $streams === null) {
            throw new InvalidArgumentException('A client of PSR-18 needs factories for requests and streams.');
        }
        return new PsrTransport(rtrim($config->url, '/'), $http, $requests, $streams);
    }

    private function prepare(Publication $publication): Publication
    {
        $publication = $publication->withTo($publication->to->withDefaultTags($this->config->defaultTags));
        $needsId = $this->config->ids && !$publication->dryRun;
        return $needsId ? $publication->withId(bin2hex(random_bytes(16))) : $publication;
    }

    private function isRepeatable(Publication $publication): bool
    {
        return $publication->id !== null || $publication->dryRun;
    }

    /**
     * Divides publications into requests. All of them are encoded before the first is sent, so that one that is not
     * JSON is reported while nothing has been published.
     *
     * @param iterable<Publication> $publications
     * @return list<array{list<string>, bool}> their bodies, and whether the request can be repeated
     */
    private function chunks(iterable $publications): array
    {
        $chunks = [];
        $bytes = 0;
        foreach ($publications as $publication) {
            $publication = $this->prepare($publication);
            $json = Api::encode($publication->toJson());
            $bytes += strlen($json);
            $last = count($chunks) - 1;
            if ($last < 0 || count($chunks[$last][0]) === self::BATCH_MAX || $bytes > self::BATCH_BYTES) {
                $chunks[] = [[], true];
                $bytes = strlen($json);
                $last++;
            }
            $chunks[$last][0][] = $json;
            $chunks[$last][1] = $chunks[$last][1] && $this->isRepeatable($publication);
        }
        return $chunks;
    }

    /**
     * @param list<string> $json the bodies
     * @return list<Report|TagcastException>
     */
    private function sendBatch(array $json, bool $isRepeatable): array
    {
        $body = '{"publications":[' . implode(',', $json) . ']}';
        $answer = $this->api->call('POST', '/publish:batch', [], $body, $isRepeatable);
        $results = array_values((array) ($answer['results'] ?? []));
        if (count($results) !== count($json)) {
            throw new UnavailableException('invalid_answer', 'The answer has not one result for each publication.');
        }
        return array_map(static function (array $result): Report|TagcastException {
            $status = (int) ($result['status'] ?? 0);
            return isset($result['error'])
                ? Errors::fromError($status, (array) $result['error'])
                : Report::fromJson($result);
        }, $results);
    }

    /**
     * What a call returns; null if no client with this UUID is connected.
     *
     * @param callable(): array<string, mixed> $call
     * @return array<string, mixed>|null
     */
    private function unlessGone(callable $call): ?array
    {
        try {
            return $call();
        } catch (RequestException $failed) {
            return $failed->code === 'connection_not_found' ? null : throw $failed;
        }
    }

    /**
     * @param array<string, string|int> $set
     * @param list<string> $remove
     * @return array<string, mixed>
     */
    private function change(array $set, array $remove): array
    {
        Tags::check($set);
        return ($set === [] ? [] : ['set' => $set]) + ($remove === [] ? [] : ['remove' => array_values($remove)]);
    }

    /** @return array<string, mixed> */
    private function bounds(?int $maxRecipients, bool $dryRun): array
    {
        return ($maxRecipients === null ? [] : ['max_recipients' => $maxRecipients])
            + ($dryRun ? ['dry_run' => true] : []);
    }
}
