<?php

declare(strict_types=1);

namespace Gomoob\WebSocket;

use JsonSerializable;

/** A message, the tags that its recipients carry, and metadata for the server. */
interface IWebSocketRequest extends JsonSerializable
{
    /** @return mixed a string, or anything that `json_encode` takes */
    public function getMessage();

    /**
     * For the server alone (`key` and `secret`); clients do not get it.
     *
     * @return array<string, mixed>
     */
    public function getMetadata();

    /** @return array<string, string|int> */
    public function getTags();

    /**
     * @param mixed $message
     * @return IWebSocketRequest this instance
     */
    public function setMessage($message);

    /**
     * @param array<string, mixed> $metadata
     * @return IWebSocketRequest this instance
     */
    public function setMetadata(array $metadata = []);

    /**
     * @param array<string, string|int> $tags
     * @return IWebSocketRequest this instance
     * @throws \InvalidArgumentException if a name is not a string, or a value neither a string nor an integer
     */
    public function setTags(array $tags = []);
}
