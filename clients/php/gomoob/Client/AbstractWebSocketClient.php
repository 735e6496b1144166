<?php

declare(strict_types=1);

namespace Gomoob\WebSocket\Client;

use Gomoob\WebSocket\IWebSocketClient;

/** A client with default tags and metadata. */
abstract class AbstractWebSocketClient implements IWebSocketClient
{
    /** @var array<string, mixed> */
    protected $defaultMetadata = [];

    /** @var array<string, string|int> */
    protected $defaultTags = [];

    public function getDefaultMetadata()
    {
        return $this->defaultMetadata;
    }

    public function getDefaultTags()
    {
        return $this->defaultTags;
    }

    public function setDefaultMetadata(array $defaultMetadata = [])
    {
        $this->defaultMetadata = $defaultMetadata;
        return $this;
    }

    public function setDefaultTags(array $defaultTags = [])
    {
        $this->defaultTags = $defaultTags;
        return $this;
    }
}
