<?php

declare(strict_types=1);

namespace Gomoob\WebSocket\Client;

use Gomoob\WebSocket\IWebSocketRequest;
use Gomoob\WebSocket\Response\WebSocketResponse;
use InvalidArgumentException;
use Tagcast\Client\Config;
use Tagcast\Client\HttpClient;
use Tagcast\Client\Net\Address;
use Tagcast\Client\To;
use Tagcast\Client\WebSocket\GomoobSocket;

/**
 * Gomoob's client for a Tagcast server.
 *
 * With a `ws://` or `wss://` address it sends requests on a kept WebSocket, as Gomoob's does: the server does not
 * acknowledge them, and a request that it refuses is reported by the next call or by `close()`. With `http://`,
 * `https://` or `unix:` it publishes over the HTTP API: each request is acknowledged, and each error is an exception.
 */
class WebSocketClient extends AbstractWebSocketClient
{
    /** A script that shows ever new credentials must not collect connections. */
    private const CLIENTS_MAX = 16;

    private readonly Address $address;
    private ?GomoobSocket $socket = null;

    /** @var array<string, HttpClient> by their credentials */
    private array $clients = [];

    /**
     * @param string $uri of the server; `?key=` and `?secret=` are used where a request has no metadata of this name
     * @param string|null $caFile PEM file with the authorities that certify the server; null: those of the system
     */
    public function __construct(private readonly string $uri, private readonly ?string $caFile = null)
    {
        $this->address = Address::parse($uri);
    }

    /**
     * @param string $uri
     * @return static
     */
    public static function factory($uri)
    {
        return new static($uri);
    }

    public function send(IWebSocketRequest $webSocketRequest)
    {
        $message = $webSocketRequest->getMessage();
        if ($message === null || $message === '') {
            throw new InvalidArgumentException('The provided Web Socket request must have a message !');
        }
        $complete = clone $webSocketRequest;
        $complete->setMetadata(array_merge($this->defaultMetadata, $webSocketRequest->getMetadata()));
        $complete->setTags(array_merge($this->defaultTags, $webSocketRequest->getTags()));
        if ($this->address->isWebSocket()) {
            $this->socket ??= new GomoobSocket($this->address, caFile: $this->caFile);
            $this->socket->send(json_encode($complete, JSON_THROW_ON_ERROR));
            return new WebSocketResponse();
        }
        $client = $this->client($complete->getMetadata());
        return new WebSocketResponse($client->publish(To::tags($complete->getTags()), $message));
    }

    /**
     * Ends the connection, after the server has read everything that was sent.
     *
     * @throws \Tagcast\Client\Exception\RequestException if it has refused a request
     */
    public function close(): void
    {
        $this->clients = [];
        $socket = $this->socket;
        $this->socket = null;
        $socket?->close();
    }

    /** @param array<string, mixed> $metadata */
    private function client(array $metadata): HttpClient
    {
        parse_str($this->address->query, $query);
        $key = (string) ($metadata['key'] ?? $query['key'] ?? '-');
        $secret = $metadata['secret'] ?? $query['secret'] ?? null;
        $secret = $secret === null ? null : (string) $secret;
        $name = json_encode([$key, $secret], JSON_THROW_ON_ERROR);
        if (!isset($this->clients[$name]) && count($this->clients) === self::CLIENTS_MAX) {
            array_shift($this->clients);
        }
        $url = explode('?', $this->uri, 2)[0];
        return $this->clients[$name] ??= new HttpClient(new Config($url, $key, $secret, caFile: $this->caFile));
    }
}
