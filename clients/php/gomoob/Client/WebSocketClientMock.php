<?php

declare(strict_types=1);

namespace Gomoob\WebSocket\Client;

use Countable;
use Gomoob\WebSocket\IWebSocketRequest;
use Gomoob\WebSocket\Request\WebSocketRequest;
use Gomoob\WebSocket\Response\WebSocketResponse;
use Tagcast\Client\ClientInterface;
use Tagcast\Client\NullClient;
use Tagcast\Client\Publication;
use Tagcast\Client\Recording;
use Tagcast\Client\Tags;
use Tagcast\Client\To;

/** A client for tests without a server: it records what is sent, and finds it by its tags. */
class WebSocketClientMock extends AbstractWebSocketClient implements ClientInterface, Countable
{
    use Recording {
        record as private recordPublication;
    }

    /** @var array<int, array{IWebSocketRequest, array<string, string|int>}> with the tags that they were sent with */
    private array $requests = [];

    /**
     * @param bool $legacyTags finds requests as Gomoob's mock does: a tag that no request has is skipped, and when no
     *     request remains, the next tag starts again with all requests
     * @param ClientInterface|null $inner gets every call but `send`; null: a client without a server
     */
    public function __construct(private readonly bool $legacyTags = false, ?ClientInterface $inner = null)
    {
        $this->inner = $inner ?? new NullClient();
    }

    public function send(IWebSocketRequest $webSocketRequest)
    {
        $this->keep($webSocketRequest);
        $this->recordPublication(new Publication(
            To::tags($webSocketRequest->getTags()),
            $webSocketRequest->getMessage() ?? '',
        ));
        return new WebSocketResponse();
    }

    /**
     * Whether this very request was sent.
     *
     * @return bool
     */
    public function contains(IWebSocketRequest $webSocketRequest)
    {
        return isset($this->requests[spl_object_id($webSocketRequest)]);
    }

    /** How many requests were sent; one that was sent twice counts once. */
    public function count(): int
    {
        return count($this->requests);
    }

    /**
     * The requests that have all of these tags; without a tag, all requests.
     *
     * @param array<string, string|int> $tags
     * @return list<IWebSocketRequest>
     */
    public function findByTags(array $tags = [])
    {
        if ($this->legacyTags && $tags !== []) {
            return $this->findAsGomoob($tags);
        }
        $found = $this->requests;
        foreach ($tags as $name => $value) {
            $found = $this->having($found, (string) $name, $value);
        }
        return array_column($found, 0);
    }

    /**
     * Forgets what was sent.
     *
     * @return void
     */
    public function reset()
    {
        $this->requests = [];
        $this->published = [];
    }

    /**
     * @param array<string, string|int> $tags
     * @return list<IWebSocketRequest>
     */
    private function findAsGomoob(array $tags): array
    {
        $found = [];
        foreach ($tags as $name => $value) {
            $carriers = $this->having($this->requests, (string) $name, $value);
            if ($carriers !== []) {
                $found = $found === [] ? $carriers : $this->having($found, (string) $name, $value);
            }
        }
        return array_column($found, 0);
    }

    /**
     * @param array<int, array{IWebSocketRequest, array<string, string|int>}> $requests
     * @return array<int, array{IWebSocketRequest, array<string, string|int>}>
     */
    private function having(array $requests, string $name, string|int $value): array
    {
        // 12 and "12" are one value, as on the server.
        $has = static fn (array $sent): bool => isset($sent[1][$name]) && (string) $sent[1][$name] === (string) $value;
        return array_filter($requests, $has);
    }

    private function keep(IWebSocketRequest $request): void
    {
        Tags::check($request->getTags());
        $this->requests[spl_object_id($request)] = [$request, $request->getTags()];
    }

    /** What is published by the methods of `ClientInterface` counts as a request too. */
    private function record(Publication $publication): void
    {
        $tags = $publication->to->kind() === 'tags' ? (array) $publication->to->value() : [];
        $this->keep(WebSocketRequest::create($publication->data, $tags));
        $this->recordPublication($publication);
    }
}
