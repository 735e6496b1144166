<?php

declare(strict_types=1);

namespace Gomoob\WebSocket;

/** Sends requests to a WebSocket server. */
interface IWebSocketClient
{
    /**
     * Metadata that every request gets, unless it has its own value.
     *
     * @return array<string, mixed>
     */
    public function getDefaultMetadata();

    /**
     * Tags that every request gets, unless it has its own value.
     *
     * @return array<string, string|int>
     */
    public function getDefaultTags();

    /**
     * Sends a request. The request itself is not changed.
     *
     * @return IWebSocketResponse
     * @throws \InvalidArgumentException if it has no message
     */
    public function send(IWebSocketRequest $webSocketRequest);

    /**
     * @param array<string, mixed> $defaultMetadata
     * @return IWebSocketClient this instance
     */
    public function setDefaultMetadata(array $defaultMetadata = []);

    /**
     * @param array<string, string|int> $defaultTags
     * @return IWebSocketClient this instance
     */
    public function setDefaultTags(array $defaultTags = []);
}
